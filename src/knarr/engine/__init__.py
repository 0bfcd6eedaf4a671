"""Use cases with Docker's semantics, and the events they cause.

Law: a service takes and returns the messages of ``knarr.api``; every error is a ``KnarrError`` in
Docker's words. The services are asynchronous; whatever blocks runs in the pools of ``workers``.
Nothing here knows HTTP.
"""

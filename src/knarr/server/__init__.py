"""The Engine API over HTTP: routes and streams, no logic.

Law: a handler reads the request, calls one use case of ``knarr.engine`` and writes what comes back.
Errors leave as ``{"message": ...}`` with the status of their category; no traceback reaches a
client. A handler whose stream ends or whose client goes away leaves nothing running.

``app`` puts the parts together, ``listen`` opens sockets, ``connection`` and ``hijack`` take over
connections, ``routing`` and ``versions`` find the handler; the other modules hold the handlers of
one noun each.
"""

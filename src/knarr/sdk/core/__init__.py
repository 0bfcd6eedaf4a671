"""What both forms of the library share: requests, options, and what answers mean. No I/O.

Law: nothing here reads, writes, waits or knows an event loop. An ``Operation`` is one request and
the function that reads its answer; a ``Streaming`` is a request and the decoder of what follows
its answer. ``knarr.sdk.blocking`` and ``knarr.sdk.aio`` only carry them.
"""

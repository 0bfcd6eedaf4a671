"""The library: a running engine as Python objects, for threads and for asyncio.

Scope: what the Engine API offers, typed, with errors as exceptions and things that remove
themselves. ``import knarr`` gives all of it, and loads it when it is first used. Beyond the scope:
the engine itself.

- ``core``: requests, options and decoders as values and functions; no I/O.
- ``blocking`` and ``aio``: the two forms; they carry what ``core`` made.
"""

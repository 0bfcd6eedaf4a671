"""The library for programs with an event loop: asyncio.

Law: one ``AsyncEngine`` belongs to one event loop. A cancelled request closes its connection; what
a cancelled request may have made is removed in the background. ``aclose`` waits for that.
"""

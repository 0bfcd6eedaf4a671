"""The library for programs with an event loop: asyncio.

Law: one ``AsyncEngine`` belongs to one event loop. A cancelled request closes its connection; what
a cancelled request may have made is removed in the background. ``aclose`` waits for that.
"""

from __future__ import annotations

from .container import AsyncContainer
from .containers import AsyncContainers
from .engine import AsyncEngine, connect_async
from .execs import AsyncExecStream
from .images import AsyncImage, AsyncImages, AsyncLoadedImages
from .output import AsyncAttachment, AsyncOutputStream
from .streams import AsyncByteStream, AsyncStream
from .volumes import AsyncVolume, AsyncVolumes

__all__ = [
    "AsyncAttachment",
    "AsyncByteStream",
    "AsyncContainer",
    "AsyncContainers",
    "AsyncEngine",
    "AsyncExecStream",
    "AsyncImage",
    "AsyncImages",
    "AsyncLoadedImages",
    "AsyncOutputStream",
    "AsyncStream",
    "AsyncVolume",
    "AsyncVolumes",
    "connect_async",
]

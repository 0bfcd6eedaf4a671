"""The library for programs with an event loop: asyncio.

Law: one ``AsyncEngine`` belongs to one event loop. A cancelled request closes its connection; what
a cancelled request may have made is removed in the background. ``aclose`` waits for that.
"""

from __future__ import annotations

from .containers import AsyncContainer, AsyncContainers, AsyncExecStream
from .engine import AsyncEngine, connect_async
from .images import AsyncImage, AsyncImages, AsyncLoadedImages
from .streams import AsyncAttachment, AsyncByteStream, AsyncOutputStream, AsyncStream
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

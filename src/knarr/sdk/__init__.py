"""The library: a running engine as Python objects, for threads and for asyncio.

Scope: what the Engine API offers, typed, with errors as exceptions and things that remove
themselves. ``import knarr`` gives all of it, and loads it when it is first used. Beyond the scope:
the engine itself.

- ``core``: requests, options and decoders as values and functions; no I/O.
- ``blocking`` and ``aio``: the two forms; they carry what ``core`` made.
"""

from __future__ import annotations

from knarr.api.containers import HealthConfig
from knarr.api.mounts import (
    BindOptions,
    ImageOptions,
    Mount,
    TmpfsOptions,
    VolumeDriver,
    VolumeOptions,
)
from knarr.client.connection import NoEngineError

from .aio.containers import AsyncContainer, AsyncContainers, AsyncExecStream
from .aio.engine import AsyncEngine, connect_async
from .aio.images import AsyncImage, AsyncImages, AsyncLoadedImages
from .aio.streams import AsyncAttachment, AsyncByteStream, AsyncOutputStream, AsyncStream
from .aio.volumes import AsyncVolume, AsyncVolumes
from .blocking.containers import Container, Containers, ExecStream, MadeContainer
from .blocking.engine import Engine, connect
from .blocking.images import Image, Images, LoadedImages, MadeImage
from .blocking.streams import Attachment, ByteStream, OutputStream, Stream
from .blocking.volumes import MadeVolume, Volume, Volumes
from .core.failures import CommandFailedError, EngineTimeoutError
from .core.options import ContainerOptions, ExecOptions, LimitOptions
from .core.values import Chunk, Line, Output, PathStat, Ping, Result

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
    "Attachment",
    "BindOptions",
    "ByteStream",
    "Chunk",
    "CommandFailedError",
    "Container",
    "ContainerOptions",
    "Containers",
    "Engine",
    "EngineTimeoutError",
    "ExecOptions",
    "ExecStream",
    "HealthConfig",
    "Image",
    "ImageOptions",
    "Images",
    "LimitOptions",
    "Line",
    "LoadedImages",
    "MadeContainer",
    "MadeImage",
    "MadeVolume",
    "Mount",
    "NoEngineError",
    "Output",
    "OutputStream",
    "PathStat",
    "Ping",
    "Result",
    "Stream",
    "TmpfsOptions",
    "Volume",
    "VolumeDriver",
    "VolumeOptions",
    "Volumes",
    "connect",
    "connect_async",
]

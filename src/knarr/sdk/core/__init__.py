"""What both forms of the library share: requests, options, and what answers mean. No I/O.

Law: nothing here reads, writes, waits or knows an event loop. An ``Operation`` is one request and
the function that reads its answer; a ``Streaming`` is a request and the decoder of what follows
its answer. ``knarr.sdk.blocking`` and ``knarr.sdk.aio`` only carry them.
"""

from __future__ import annotations

from knarr.api.archives import PathStat
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
from knarr.client.credentials.login import Login

from .failures import CommandFailedError, EngineTimeoutError
from .options import ContainerOptions, ExecOptions, LimitOptions
from .values import Chunk, Line, Output, Ping, Result

__all__ = [
    "BindOptions",
    "Chunk",
    "CommandFailedError",
    "ContainerOptions",
    "EngineTimeoutError",
    "ExecOptions",
    "HealthConfig",
    "ImageOptions",
    "LimitOptions",
    "Line",
    "Login",
    "Mount",
    "NoEngineError",
    "Output",
    "PathStat",
    "Ping",
    "Result",
    "TmpfsOptions",
    "VolumeDriver",
    "VolumeOptions",
]

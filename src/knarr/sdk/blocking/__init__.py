"""The library for programs with threads: every call waits until it is answered.

Law: any number of threads may use one ``Engine``; one stream is read by one thread and may be
written to, or closed, by another.
"""

from __future__ import annotations

from .attachment import Attachment
from .container import Container, MadeContainer
from .containers import Containers
from .engine import Engine, connect
from .execs import ExecStream
from .images import Image, Images, LoadedImages, MadeImage
from .output import OutputStream
from .streams import ByteStream, Stream
from .volumes import MadeVolume, Volume, Volumes

__all__ = [
    "Attachment",
    "ByteStream",
    "Container",
    "Containers",
    "Engine",
    "ExecStream",
    "Image",
    "Images",
    "LoadedImages",
    "MadeContainer",
    "MadeImage",
    "MadeVolume",
    "OutputStream",
    "Stream",
    "Volume",
    "Volumes",
    "connect",
]

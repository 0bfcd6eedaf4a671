"""knarr's own header of a layer file, in the bytes before the superblock that EROFS leaves free.

It makes a layer file complete in itself: which tar it is, how long the tar is, and which
directories the tar only implied.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from knarr.archive.failure import BadArchiveError

SIZE = 4096
"""The tar begins here."""

_MAGIC = b"knarr layer 1\n\0\0"
_HEADER = struct.Struct("<16s32sQQQ")
_MAX_IMPLIED = 1 << 30


class LayerHeader(NamedTuple):
    """What the header says; ``implied`` is where the list of implied directories lies."""

    digest: bytes
    tar_size: int
    implied_offset: int
    implied_size: int

    def pack(self) -> bytes:
        """The header as it stands at the beginning of the file."""
        return _HEADER.pack(_MAGIC, *self)


def read(fd: int) -> LayerHeader:
    """The header of the open layer file. Raises BadArchiveError when it is not one."""
    data = os.pread(fd, _HEADER.size, 0)
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise BadArchiveError("this is not a layer file")
    return LayerHeader._make(_HEADER.unpack(data)[1:])


def pack_implied(paths: list[bytes]) -> bytes:
    """The list of implied directories as it stands in the file."""
    return b"".join(path + b"\0" for path in paths)


def read_implied(fd: int, header: LayerHeader) -> tuple[bytes, ...]:
    """The implied directories, parents first."""
    if not header.implied_size:
        return ()
    size = min(header.implied_size, _MAX_IMPLIED)
    data = os.pread(fd, size, header.implied_offset)
    return tuple(data.split(b"\0")[:-1])

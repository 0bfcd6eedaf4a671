r"""A compact form of a log, for the driver ``local`` and what is kept of lines sent elsewhere.

A file is records, one behind the other; a record is lines of one stream that were read at the same
time, byte for byte as they were written::

    "Kb"  stream (1 or 2)  version (1)  length  time in nanoseconds since 1970
    data: ``length`` bytes
    CRC-32 of everything before it  length

Numbers are little-endian; both lengths are 32 bits, the time has 64. The length at the end is for
reading backwards. Data is whole lines, the last of which may be unfinished: then it goes on in the
next record of that stream, or the output has ended there.

Law: a record that does not fit its checksum is torn, and ends the file.
"""

from __future__ import annotations

import os
import zlib
from struct import Struct
from typing import NamedTuple

HEAD = Struct("<2sBBIQ")
TAIL = Struct("<II")
OVERHEAD = HEAD.size + TAIL.size
#: More than any record has: what says more is no record.
LONGEST_RECORD = 16 * 1024 * 1024
_MAGIC = b"Kb"
_VERSION = 1


class Block(NamedTuple):
    """A record; ``size`` is that of all of it."""

    stream: int
    time: int
    data: bytes
    size: int

    @property
    def entries(self) -> int:
        """How many lines and pieces of lines there are."""
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))


class BlockForm:
    """Makes records; see ``logfiles.Form``."""

    def pack(self, stream: int, data: bytes, now: int, room: int | None) -> tuple[bytes, int]:
        """See ``logfiles.Form``."""
        if room is not None and len(data) + OVERHEAD > room:
            data = data[: data.find(b"\n", max(room - OVERHEAD, 1) - 1) + 1] or data
        return record(stream, data, now), len(data)

    def whole(self, fd: int, size: int) -> int:
        """See ``logfiles.Form``."""
        length = last_length(os.pread(fd, TAIL.size, max(0, size - TAIL.size)))
        start = size - length - OVERHEAD
        if start >= 0 and parse(os.pread(fd, size - start, start)) is not None:
            return size
        return _scan(fd, size)


def record(stream: int, data: bytes, now: int) -> bytes:
    """One record."""
    head = HEAD.pack(_MAGIC, stream, _VERSION, len(data), now)
    checksum = zlib.crc32(data, zlib.crc32(head))
    return b"".join((head, data, TAIL.pack(checksum, len(data))))


def parse(data: bytes, offset: int = 0) -> Block | None:
    """The record at ``offset``; None when it is not (wholly) there or torn."""
    length = first_length(data, offset)
    stop = offset + HEAD.size + length
    if length < 0 or len(data) < stop + TAIL.size:
        return None
    _, stream, _, _, time = HEAD.unpack_from(data, offset)
    checksum, again = TAIL.unpack_from(data, stop)
    if again != length or zlib.crc32(memoryview(data)[offset:stop]) != checksum:
        return None
    return Block(stream, time, data[offset + HEAD.size : stop], length + OVERHEAD)


def first_length(data: bytes, offset: int = 0) -> int:
    """The length of the data of the record that begins at ``offset``; -1 if none does."""
    if len(data) < offset + HEAD.size:
        return -1
    magic, stream, version, length, _ = HEAD.unpack_from(data, offset)
    known = magic == _MAGIC and version == _VERSION and stream in {1, 2}
    return int(length) if known and length <= LONGEST_RECORD else -1


def last_length(data: bytes) -> int:
    """The length of the data of the record that ends at the end of ``data``, as it says."""
    return int(TAIL.unpack_from(data, len(data) - TAIL.size)[1]) if len(data) >= TAIL.size else 0


def _scan(fd: int, size: int) -> int:
    """The end of the last record before the first one that is torn."""
    position = 0
    while position < size:
        length = first_length(os.pread(fd, HEAD.size, position))
        if length < 0:
            break
        block = parse(os.pread(fd, length + OVERHEAD, position))
        if block is None:
            break
        position += block.size
    return position

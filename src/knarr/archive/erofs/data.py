"""Where the data of files lie in a layer file.

A file whose data lie in the tar in one piece is found there. A sparse file is found there chunk by
chunk when its runs begin and end at blocks; when they do not (GNU tar never writes such, but the
format allows it), its runs are copied behind the tar, each chunk in its own blocks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from knarr.archive.failure import BadArchiveError

from . import ondisk
from .header import SIZE as TAR_OFFSET
from .ondisk import BLOCK, BLOCK_BITS, CHUNKED, NO_BLOCK, PLAIN

if TYPE_CHECKING:
    from knarr.archive.entry import Extent
    from knarr.archive.tree import Node

_MAX_CHUNKS = 1 << 20
_COPIED_CHUNK_BITS = 12
_COPIED_CHUNKS = 1 << 16  # chunks grow with the file, so that its map stays small
_COPY = 1 << 20


class Placement(NamedTuple):
    """The data of an inode: its layout, block number or chunk format, and what follows it."""

    layout: int
    where: int
    tail: bytes = b""


class DataArea:
    """The blocks behind the tar that take what cannot be used in place.

    ``fd`` is the layer file with the complete tar in it, opened for reading and writing.
    """

    def __init__(self, fd: int, tar_size: int) -> None:
        self._fd = fd
        self._next = (TAR_OFFSET + tar_size + BLOCK - 1) >> BLOCK_BITS

    @property
    def end(self) -> int:
        """The offset of the first byte behind the area."""
        return self._next << BLOCK_BITS

    def place(self, node: Node) -> Placement:
        """Place the data of a regular file."""
        if not node.size:
            return Placement(PLAIN, 0)
        if node.extents is None:
            return Placement(PLAIN, _block(node.offset))
        bits = _direct_bits(node.extents, node.size)
        if bits is not None:
            return self._direct(node.extents, node.size, bits)
        return self._copied(node.extents, node.size)

    def append(self, data: bytes) -> int:
        """Put ``data`` into blocks of their own; the number of the first."""
        first = self._take(len(data))
        _pwrite(self._fd, data, first << BLOCK_BITS)
        return first

    def _direct(self, extents: tuple[Extent, ...], size: int, bits: int) -> Placement:
        chunks = [NO_BLOCK] * _count(size, bits)
        for extent in extents:
            for at in range(0, extent.length, 1 << bits):
                chunks[(extent.start + at) >> bits] = _block(extent.offset + at)
        return Placement(CHUNKED, bits - BLOCK_BITS, ondisk.chunk_map(chunks))

    def _copied(self, extents: tuple[Extent, ...], size: int) -> Placement:
        bits = _COPIED_CHUNK_BITS
        while _count(size, bits) > _COPIED_CHUNKS:
            bits += 1
        chunks = [NO_BLOCK] * _count(size, bits)
        for extent in extents:
            at = 0
            while at < extent.length:
                index, inside = divmod(extent.start + at, 1 << bits)
                if chunks[index] == NO_BLOCK:
                    chunks[index] = self._take(1 << bits)
                length = min(extent.length - at, (1 << bits) - inside)
                self._copy(extent.offset + at, (chunks[index] << BLOCK_BITS) + inside, length)
                at += length
        return Placement(CHUNKED, bits - BLOCK_BITS, ondisk.chunk_map(chunks))

    def _take(self, size: int) -> int:
        first = self._next
        self._next += (size + BLOCK - 1) >> BLOCK_BITS
        if self._next > ondisk.MAX_BLOCKS:
            raise BadArchiveError("the layer is larger than 2 TiB")
        return first

    def _copy(self, tar_offset: int, to: int, length: int) -> None:
        for at in range(0, length, _COPY):
            data = os.pread(self._fd, min(_COPY, length - at), TAR_OFFSET + tar_offset + at)
            _pwrite(self._fd, data, to + at)


def _block(tar_offset: int) -> int:
    block = (TAR_OFFSET + tar_offset) >> BLOCK_BITS
    if block > ondisk.MAX_BLOCKS:
        raise BadArchiveError("the layer is larger than 2 TiB")
    return block


def _count(size: int, bits: int) -> int:
    return (size + (1 << bits) - 1) >> bits


def _direct_bits(extents: tuple[Extent, ...], size: int) -> int | None:
    """The largest chunk at whose borders all runs begin and end; None when there is no good one."""
    borders = 0
    for extent in extents:
        end = extent.start + extent.length
        borders |= extent.start | (end if end != size else 0)
        if extent.offset % BLOCK:
            return None
    if borders:
        bits = (borders & -borders).bit_length() - 1
    else:  # one hole, or one run that is the file
        bits = max(BLOCK_BITS, (size - 1).bit_length())
    bits = min(bits, BLOCK_BITS + 31)
    return bits if bits >= BLOCK_BITS and _count(size, bits) <= _MAX_CHUNKS else None


def _pwrite(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view = view[done:]
        offset += done

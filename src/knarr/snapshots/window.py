"""A part of a file as a stream of its own."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1 << 16


class _Window(io.RawIOBase):
    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd = fd
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, "seek before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        left = max(self._size - self._at, 0)
        part = memoryview(buffer)[:left]
        count = os.preadv(self._fd, [part], self._start + self._at) if left else 0
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def window(fd: int, start: int, size: int) -> BinaryIO:
    """The ``size`` bytes from ``start`` on of the open file ``fd``, which the stream then owns."""
    return cast("BinaryIO", io.BufferedReader(_Window(fd, start, size), _BUFFER))

"""A compressed stream that may not be a bomb."""

from __future__ import annotations

from typing import BinaryIO, cast

from knarr.archive.compression import CountingReader, decompressed
from knarr.errors import ResourceExhaustedError

_FREE = 8 << 30
"""So many bytes may come out of any stream, however small it is."""

_MOST = 2000
"""Beyond that each byte may give so many; gzip can do 1032, real layers give 2 to 20."""


class BombError(ResourceExhaustedError):
    """A small stream that expands to absurdly much."""


class Expanded:
    """The plain bytes of a stream; raises BombError when it expands absurdly."""

    def __init__(self, stream: BinaryIO) -> None:
        self._compressed = CountingReader(stream)
        self._plain = decompressed(cast("BinaryIO", self._compressed))
        self._count = 0

    def as_file(self) -> BinaryIO:
        """This, for those who take a file; only ``read`` is used of it."""
        return cast("BinaryIO", self)

    def read(self, count: int = -1) -> bytes:
        """The next plain bytes."""
        data = self._plain.read(count)
        self._count += len(data)
        if self._count > _FREE and self._count > self._compressed.count * _MOST:
            raise BombError(f"the compressed stream expands to more than {_MOST} times its size")
        return data

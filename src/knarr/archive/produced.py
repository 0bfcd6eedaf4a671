"""The stream of what a function writes, for a reader that pulls.

The function runs in a thread of its own and is held back when the reader is slower; what it raises
comes out of ``read``. Chunks are large, so that the reader's work is per mebibyte.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_IN_FLIGHT = 4


class Chunks:
    """A file that hands what is written to it on in chunks of nearly ``size``.

    None is larger unless a single write was. ``flush`` hands on what is left.
    """

    def __init__(self, put: Callable[[bytes], None], size: int = _CHUNK) -> None:
        self._put = put
        self._size = size
        self._waiting: list[bytes] = []
        self._bytes = 0

    def as_file(self) -> BinaryIO:
        """This, for those who take a file; only ``write`` is used of it."""
        return cast("BinaryIO", self)

    def write(self, data: bytes) -> int:
        """Take ``data``, which must not change any more."""
        if self._bytes + len(data) > self._size:
            self.flush()
        self._waiting.append(data)
        self._bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Hand on what is waiting."""
        if self._waiting:
            waiting, self._waiting, self._bytes = self._waiting, [], 0
            self._put(waiting[0] if len(waiting) == 1 else b"".join(waiting))


class _LeftError(Exception):
    """Nobody reads any more."""


class Produced:
    """What ``write`` writes to the file that it is given, as a stream; ``close`` it in any case."""

    def __init__(self, write: Callable[[BinaryIO], None]) -> None:
        self._write = write
        self._queue: queue.Queue[bytes | None] = queue.Queue(_IN_FLIGHT)
        self._rest = b""
        self._left = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="producing", daemon=True)
        self._thread.start()

    def as_file(self) -> BinaryIO:
        """This, for those who take a file; only ``read`` is used of it."""
        return cast("BinaryIO", self)

    def read(self, count: int = -1) -> bytes:
        """The next bytes, at most ``count``, empty at the end; raises what ``write`` raised."""
        if not self._rest and not self._ended:
            chunk = self._queue.get()
            self._ended = chunk is None
            self._rest = chunk or b""
        if self._ended and self._error is not None:
            raise self._error
        if count < 0 or count >= len(self._rest):
            data, self._rest = self._rest, b""
        else:
            data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def close(self) -> None:
        """End the thread; the next byte that ``write`` writes fails."""
        self._left = True
        while not self._ended:
            self._ended = self._queue.get() is None
        self._thread.join()

    def _run(self) -> None:
        chunks = Chunks(self._put)
        try:
            self._write(chunks.as_file())
            chunks.flush()
        except _LeftError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is the reader's
            self._error = error
        finally:
            self._queue.put(None)

    def _put(self, chunk: bytes) -> None:
        if self._left:
            raise _LeftError
        self._queue.put(chunk)

"""Taking a stream in: reading, hashing and writing at the same time.

One thread (the caller's) reads and looks at the chunks, one hashes them, one writes them to the
file. SHA-256, decompression and write(2) all release the GIL, so on two cores the slowest of them
sets the pace. Chunks are never copied.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from typing import TYPE_CHECKING, BinaryIO

from knarr.sys.writeback import start_writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 20
_WORTH = CHUNK // 4  # a chunk of a stream that is worth threads
_IN_FLIGHT = 8  # chunks that wait for hashing or writing: the memory that a stream may take
_WRITE_BACK = 8 << 20  # the disk begins after so much, and not when everything is there


class Intake:
    """The chunks of ``stream``, each also hashed, and written to ``fd`` from ``offset`` on.

    Iterate it to the end, then call ``finish``; leave early by ``abandon``. One thread per object.
    """

    def __init__(self, stream: BinaryIO, fd: int, offset: int = 0) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size = 0
        self._workers: list[_Worker] = []
        self._fd = fd
        self._offset = self._started = offset

    def __iter__(self) -> Iterator[bytes]:
        read = self._stream.read
        while chunk := read(CHUNK):
            self._size += len(chunk)
            if self._workers or len(chunk) >= _WORTH:
                for worker in self._workers or self._start():
                    worker.put(chunk)
            else:  # a small layer, or its end: not worth a thread
                self._hash.update(chunk)
                self._write(chunk)
            yield chunk

    def finish(self) -> tuple[bytes, int]:
        """The SHA-256 of the stream and its length, when all of it is hashed and written."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.join()
        for worker in workers:
            if worker.error is not None:
                raise worker.error
        return self._hash.digest(), self._size

    def abandon(self) -> None:
        """Let the threads end after a failure."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.join()

    def _start(self) -> list[_Worker]:
        self._workers = [_Worker(self._hash.update), _Worker(self._write)]
        return self._workers

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            done = os.pwrite(self._fd, view, self._offset)
            self._offset += done
            view = view[done:]
        if self._offset - self._started >= _WRITE_BACK:
            start_writing(self._fd, self._started, self._offset - self._started)
            self._started = self._offset


class _Worker:
    """A thread that does one thing with every chunk, in order, until it fails."""

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(_IN_FLIGHT)
        self._work = work
        self.error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def put(self, chunk: bytes) -> None:
        """Hand a chunk over; waits while too many are waiting. Raises the worker's own error."""
        if self.error is not None:
            raise self.error
        self._queue.put(chunk)

    def join(self) -> None:
        """Wait until everything handed over is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            if self.error is not None:
                continue  # keep taking, so that nobody waits for a place
            try:
                self._work(chunk)
            except OSError as error:
                self.error = error

"""A log that never makes its container wait: ``mode=non-blocking``.

Lines go into a buffer; a thread writes them into the log. What does not fit is dropped, whole
lines, the newest. The spool keeps what waits in the buffer, so that a kill loses nothing of it;
only when lines were dropped and much waits it is given back too, because the spool must not grow.

Law: the thread alone touches the log until it has ended, and all else belongs to the loop's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from knarr.supervisor import jsonlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.containerlog import ContainerLog

_CLOSE_SECONDS = 2.0


class _Item(NamedTuple):
    stream: int
    start: int
    data: bytes
    now: int


class BufferedLog:
    """A buffer of ``limit`` bytes before ``log``."""

    may_lose = True

    def __init__(self, log: ContainerLog, limit: int, complain: Callable[[str], None]) -> None:
        self._log = log
        self._limit = limit
        self._complain = complain
        self._taken = {1: 0, 2: 0}
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._waiting: deque[_Item] = deque()  # what is in the queue or being written
        self._bytes = 0
        self._written = 0  # items so far; only the thread counts
        self._forgotten = 0
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def logged(self, stream: int) -> int:
        """See ``containerlog.Log``."""
        return self._taken[stream]

    def kept(self, stream: int) -> int:
        """See ``containerlog.Log``."""
        self._forget_written()
        taken = self._taken[stream]
        first = next((item.start for item in self._waiting if item.stream == stream), taken)
        return taken if taken - first > 2 * self._limit else first

    def append(self, stream: int, data: bytes, *, final: bool = False) -> None:
        """See ``containerlog.Log``."""
        self._forget_written()
        now = time.time_ns()
        for start, stop in jsonlog.segments(data, final=final):
            self._put(stream, data[start:stop], now)

    def skip(self, stream: int, offset: int) -> None:
        """See ``containerlog.Log``."""
        self._taken[stream] = offset

    def recover(self) -> None:
        """See ``containerlog.Log``."""
        self._log.recover()
        self._taken = {stream: self._log.logged(stream) for stream in self._taken}

    def close(self) -> None:
        """See ``containerlog.Log``; a log that does not come to an end goes on by itself."""
        if self._thread is None:
            self._log.close()
            return
        self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self._complain("a log in non-blocking mode is slow to close")
        if self.dropped:
            self._complain(f"{self.dropped} bytes of lines were dropped in non-blocking mode")

    def _put(self, stream: int, data: bytes, now: int) -> None:
        start = self._taken[stream]
        self._taken[stream] += len(data)
        room = self._limit - self._bytes
        if len(data) > room and self._waiting:
            whole = data.rfind(b"\n", 0, max(room, 0)) + 1
            self.dropped += len(data) - whole
            data = data[:whole]
        if not data:
            return
        item = _Item(stream, start, data, now)
        self._waiting.append(item)
        self._bytes += len(data)
        self._queue.put(item)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()

    def _forget_written(self) -> None:
        while self._forgotten < self._written:
            self._forgotten += 1
            self._bytes -= len(self._waiting.popleft().data)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._log.skip(item.stream, item.start)
                self._log.write(item.stream, item.data, item.now)
            except OSError as error:
                self._complain(f"log: {error.strerror}")
            self._written += 1
        self._log.close()

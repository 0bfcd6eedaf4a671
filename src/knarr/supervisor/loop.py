"""The event loop of the supervisor: epoll(7), timers, and calls from other threads.

Law: everything but spawning happens in the one thread that runs the loop, so nothing here is
locked. Watching is level-triggered unless asked otherwise; callbacks must not block and must
bear being called for nothing. An exception in a callback is reported and ends only that callback.
"""

from __future__ import annotations

import heapq
import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IN = select.EPOLLIN
OUT = select.EPOLLOUT
HUP = select.EPOLLHUP
RDHUP = select.EPOLLRDHUP
EDGE = select.EPOLLET


class Timer:
    """A call that is due at ``when`` (seconds of the monotonic clock) unless it is cancelled."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make it do nothing; allowed at any time."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Loop:
    """Callbacks by descriptor, by time and from threads."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._on_error = on_error
        self._running = True
        self.watch(self._wake, IN, self._woken)

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` when ``fd`` is ready; one callback for each descriptor."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor; errors and hang-ups always come."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed; it is no error when it is not watched."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once after this time."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the thread of the loop; the one method for other threads."""
        self._calls.append(callback)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Let ``run`` return after the callbacks that are under way."""
        self._running = False

    def run(self) -> None:
        """Serve until ``stop``."""
        while self._running:
            for fd, events in self._epoll.poll(self._timeout()):
                callback = self._callbacks.get(fd)
                if callback is not None:
                    self._guard(callback, events)
            self._expire()

    def close(self) -> None:
        """Close what the loop itself has opened."""
        self._epoll.close()
        os.close(self._wake)

    def _timeout(self) -> float:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].when - time.monotonic()) if self._timers else -1

    def _expire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].when <= now:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                self._guard(callback)

    def _woken(self, _: int) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return
        while self._calls:
            self._guard(self._calls.popleft())

    def _guard(self, callback: Callable[..., None], *arguments: int) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - one container's fault must not end the others
            self._on_error(error)

"""Threads for what blocks: starting processes, removing cgroups.

Law: a started process suspends the thread that starts it until its exec (CLONE_VFORK), so each
start has a thread; there are never more than ``LIMIT``, made when they are first needed. Results
come back in the thread of the loop.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from knarr.errors import InternalError, KnarrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.loop import Loop

LIMIT = 16
_STACK_BYTES = 512 * 1024

T = TypeVar("T")
_current = threading.local()


class _Begun:
    """A job under way; ``at`` is on the clock that counts since boot, in seconds."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = time.clock_gettime(time.CLOCK_BOOTTIME)


def renew() -> None:
    """In a job: what it has started until now it does not wait for any more."""
    begun: _Begun | None = getattr(_current, "begun", None)
    if begun is not None:
        begun.at = time.clock_gettime(time.CLOCK_BOOTTIME)


class Workers:
    """A pool of threads that serve one queue."""

    def __init__(self, loop: Loop, limit: int = LIMIT) -> None:
        self._loop = loop
        self._limit = limit
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._begun: set[_Begun] = set()

    @property
    def busy(self) -> int:
        """Jobs that wait or run."""
        return self._busy

    @property
    def oldest(self) -> float:
        """When the oldest job under way has begun, in seconds since boot; now if there is none.

        A process that was started before that is awaited by no job.
        """
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return min((each.at for each in tuple(self._begun)), default=now)

    def run(
        self,
        job: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        """Do ``job`` in a thread, then call ``done`` or ``failed`` in the loop's.

        An error that is none of knarr's becomes an ``InternalError`` that names it.
        """
        self._busy += 1
        if self._busy > self._threads < self._limit:
            self._threads += 1
            threading.stack_size(_STACK_BYTES)
            threading.Thread(target=self._serve, daemon=True).start()
        self._jobs.put(lambda: self._do(job, done, failed))

    def _serve(self) -> None:
        while True:
            self._jobs.get()()

    def _do(
        self,
        job: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        _current.begun = begun = _Begun()
        self._begun.add(begun)
        try:
            result = job()
        except KnarrError as error:
            self._finish(begun, failed, error)
        except Exception as error:  # noqa: BLE001 - the border of the thread
            self._finish(begun, failed, InternalError(f"{type(error).__name__}: {error}"))
        else:
            self._finish(begun, done, result)

    def _finish(self, begun: _Begun, callback: Callable[[T], None], value: T) -> None:
        def call() -> None:
            self._busy -= 1
            self._begun.discard(begun)
            callback(value)

        self._loop.call_from_thread(call)

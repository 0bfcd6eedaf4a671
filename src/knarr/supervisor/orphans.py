"""Reaping of processes that came to the supervisor because their own parent has ended.

That happens only once another runtime's program was used: it makes the process of a container and
ends, and so the supervisor is a subreaper from then on (prctl(2)). With the processes that it waits
for it gets others: helpers of runtimes, and daemons of containers without a pid namespace.

Law: only what nobody waits for is reaped: no task has it, and it is older than every job that is
under way, for those wait for what they have started themselves (a start that is not a task yet, a
hook, a runtime's program). It is done at once, because a runtime may wait for the end of a helper.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from knarr.runtime import process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from knarr.supervisor.loop import Loop
    from knarr.supervisor.workers import Workers

_SOON = 0.05
_AGAIN = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")  # of the start time in /proc/PID/stat


class Orphans:
    """The orphans of one supervisor. ``awaited`` gives the pids that tasks wait for."""

    def __init__(
        self, loop: Loop, workers: Workers, awaited: Callable[[], Collection[int]]
    ) -> None:
        self._loop = loop
        self._workers = workers
        self._awaited = awaited
        self._due = False

    def watch(self) -> None:
        """Reap from now on; called in the main thread."""
        signal.signal(signal.SIGCHLD, self._child_ended)

    def _child_ended(self, *_: object) -> None:
        """The handler of the signal: it may come between any two steps of the loop."""
        self._loop.call_from_thread(lambda: self._look_in(_SOON))

    def _look_in(self, seconds: float) -> None:
        if not self._due:
            self._due = True
            self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._due = False
        try:
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if not self._reap(found.si_pid):
                    # It hides the others from this call.
                    self._reap_others()
                    self._look_in(_AGAIN)
                    return
        except ChildProcessError:
            return

    def _reap_others(self) -> None:
        for pid in _children():
            seen = process.look(pid)
            if seen is not None and seen[0] == "Z":
                self._reap(pid)

    def _reap(self, pid: int) -> bool:
        """Reap the child that has ended, unless somebody waits for it."""
        seen = process.look(pid)
        if seen is None:
            return True
        began = int(self._workers.oldest * _TICKS)
        if seen[1] >= began or pid in self._awaited():
            return False
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        return True


def _children() -> Iterator[int]:
    """The children of this process, proc_pid_task_tid_children(5); none on a kernel without it."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children") as file:
            yield from map(int, file.read().split())

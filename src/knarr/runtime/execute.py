"""From a plan to a process: clone, and talk with the child until it is the container's program.

Two ways, see ``_spawn.c``: ``borrowing`` for a child that shares our memory and needs nothing from
us, ``conversing`` for one that has a copy and waits for us at points of its plan.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple

from knarr import _spawn
from knarr.errors import KnarrError
from knarr.runtime import failure, table
from knarr.runtime.ops import CREATED, EXECUTING, MESSAGE, SYNC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.runtime.plan import Plan
    from knarr.runtime.table import Segment

CAN_CLONE_INTO_CGROUP = bool(_spawn.CAN_CLONE_INTO_CGROUP)

_FAILED = ord("F")
_FORKED = ord("P")
_ANSWER = b"go on..."


class Child(NamedTuple):
    """A new process; who gets it closes ``pidfd`` and reaps it."""

    pid: int
    pidfd: int


def borrowing(plan: Plan, program: str, cgroup: int = -1) -> Child:
    """Execute ``plan`` in a child that borrows our memory; returns when its exec has succeeded.

    ``cgroup`` is a descriptor for CLONE_INTO_CGROUP or -1. The thread sleeps meanwhile, other
    threads run on.
    """
    try:
        pid, pidfd, step, error, status = _spawn.spawn(_segments(plan), plan.clone, cgroup, -1)
    except OSError as refused:
        raise failure.of_clone(refused) from refused
    if pidfd >= 0:
        return Child(pid, pidfd)
    operation = plan.operations[step]
    if error:
        raise failure.of_step(operation, error, program)
    raise failure.of_death(status, operation)


class Conversation:
    """A socket to a child that does not exist yet; ``theirs`` is for its plan."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC
        )

    @property
    def theirs(self) -> int:
        """The descriptor that the child has."""
        return self._theirs.fileno()

    def conversing(
        self,
        plan: Plan,
        program: str,
        answers: Mapping[int, Callable[[Child], None]],
        *,
        cgroup: int = -1,
        until_created: bool = False,
    ) -> Child:
        """Execute ``plan`` in a child that waits for us at each point that is in ``answers``.

        Returns when its exec has succeeded or, ``until_created``, when it waits for `start`. An
        exception of an answer ends the child.
        """
        try:
            pid, pidfd, *_ = _spawn.spawn(_segments(plan), plan.clone, cgroup, self.theirs)
        except OSError as refused:
            raise failure.of_clone(refused) from refused
        self._theirs.close()  # so that the end of the child is the end of the stream
        talk = _Talk(self.ours, Child(pid, pidfd), forks=_forks(plan))
        try:
            talk.until(answers, last=CREATED if until_created else EXECUTING)
            error = talk.outcome(plan, program)
        except BaseException:
            talk.end()
            raise
        if error is not None:
            talk.end()
            raise error
        return talk.child

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self._theirs.close()


class _Talk:
    """What a child has told so far."""

    def __init__(self, ours: socket.socket, child: Child, *, forks: bool) -> None:
        self.child = child
        self.step = self.error = 0
        self.reached = False
        self._ours = ours
        self._forks = (
            forks  # the child is to be replaced by its sibling, whose pid is not yet known
        )
        self._waiting: list[int] = []
        self._reaped = False

    def until(self, answers: Mapping[int, Callable[[Child], None]], last: int) -> None:
        """Listen and answer until the stream ends, or ``last`` was answered."""
        while True:
            message = self._receive()
            if not message:
                return
            kind, number, value = MESSAGE.unpack(message)
            if kind == _FAILED:
                self.step, self.error = number, value
            elif kind == _FORKED:
                self._follow(value)
            elif kind == SYNC:
                self.reached = self.reached or number == last
                self._waiting.append(number)
            # The sibling may be heard before the one that tells of it.
            while self._waiting and not self._forks:
                point = self._waiting.pop(0)
                if point in answers:
                    answers[point](self.child)
                    self._answer()
                if point == last == CREATED:
                    return

    def outcome(self, plan: Plan, program: str) -> KnarrError | None:
        """What went wrong, once the stream has ended."""
        if self.error:
            return failure.of_step(plan.operations[self.step], self.error, program)
        return None if self.reached else failure.of_death(self.reap(), None)

    def reap(self) -> int:
        """Wait for the end of the child and return its status as of wait(2)."""
        if self._reaped:
            return 0
        self._reaped = True
        return reap(self.child.pidfd)

    def end(self) -> None:
        """Kill the child if it still lives, reap it and close its descriptor."""
        if not self._reaped:
            signal.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
            self.reap()
        os.close(self.child.pidfd)

    def _receive(self) -> bytes:
        try:
            return self._ours.recv(MESSAGE.size)
        except ConnectionResetError:  # it died before it read our answer
            return b""

    def _answer(self) -> None:
        try:
            self._ours.send(_ANSWER)
        except OSError:
            return  # it has died; the stream will say so

    def _follow(self, pid: int) -> None:
        self.reap()
        os.close(self.child.pidfd)
        # It is our child and nobody else reaps it: its pid names it until we do.
        self.child = Child(pid, os.pidfd_open(pid))
        self._forks = self._reaped = False


def _segments(plan: Plan) -> tuple[Segment, ...]:
    return tuple(operation.segment() for operation in plan.operations)


def _forks(plan: Plan) -> bool:
    return any(each.calls == (table.fork(),) for each in plan.operations)


def reap(pidfd: int) -> int:
    """Wait for the end of the child behind ``pidfd`` and return its status as of wait(2)."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if result is None:
        raise KnarrError("waitid without a result")
    if result.si_code == os.CLD_EXITED:
        return result.si_status << 8
    return result.si_status

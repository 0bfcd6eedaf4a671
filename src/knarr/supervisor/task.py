"""A running process: its stdio, its end.

Law: when the process has ended, what it and its descendants wrote is read; then the log is
complete, the exit is put on disk, attachments that are up to date are closed, and only then the
engine is told. With a pid namespace of its own nothing of the container lives on, so what stands
in the pipes is all. Otherwise somebody may keep them open for ever: the rest of a container is
killed, and after ``LINGER_SECONDS`` nobody is waited for (as Docker, also for exec).
"""

from __future__ import annotations

import errno
import os
import signal
import termios
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.supervisor import ending
from knarr.supervisor import loop as events
from knarr.supervisor.containerlog import STDERR, STDOUT
from knarr.supervisor.messages import UNKNOWN_EXIT_CODE, Exit, TaskState
from knarr.supervisor.output import Output
from knarr.supervisor.source import PipeSource, TerminalSource
from knarr.supervisor.spool import Spool
from knarr.supervisor.stdin import Input
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.attachment import Attachment
    from knarr.supervisor.loop import Loop, Timer
    from knarr.supervisor.source import Source
    from knarr.supervisor.starting import Launched
    from knarr.supervisor.state import Store

LINGER_SECONDS = 2.0
_PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h
_UNKNOWN = "the process ended while no supervisor ran, and this kernel does not tell its code"


class Owner(Protocol):
    """Who has the task, and is told about it."""

    def input_closed(self, task: Task) -> None:
        """The input of the process was closed on our side."""
        ...

    def kill_rest(self, task: Task) -> None:
        """The first process of a container has ended; end the others."""
        ...

    def was_oom_killed(self, task: Task) -> bool:
        """Whether the kernel has killed processes of the container for want of memory."""
        ...

    def ended(self, task: Task, ended: Exit) -> None:
        """The exit is on disk and all output is logged."""
        ...


class Surroundings(NamedTuple):
    """What every task uses."""

    loop: Loop
    store: Store
    owner: Owner
    complain: Callable[[str], None]


class Task:
    """One process, from its start or adoption to its exit."""

    def __init__(self, around: Surroundings, launched: Launched) -> None:
        self.record = launched.record
        self._around = around
        self._pidfd = launched.pidfd
        self._log = launched.log
        self._outputs: dict[int, Output] = {}
        self._input: Input | None = None
        self._attachments: list[Attachment] = []
        self._timer: Timer | None = None
        self._code: int | None = None
        self._finished_ns = 0
        self._wire(dict(launched.wires))
        if launched.sender is not None:
            launched.sender.bind(around.loop, self._outputs)

    def begin(self) -> None:
        """Read output and wait for the end; attachments made before get everything."""
        for output in tuple(self._outputs.values()):
            output.begin()
        self._around.loop.watch(self._pidfd, events.IN, self._exited)

    def attach(self, attachment: Attachment) -> None:
        """Connect an attachment with the stdio of the process."""
        self._attachments.append(attachment)
        attachment.bind(self._outputs, self._input, raw=self.record.terminal)

    def detached(self, attachment: Attachment) -> None:
        """An attachment has closed."""
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def kill(self, number: int) -> None:
        """Send a signal; ``FailedPreconditionError`` when the process has ended.

        An exec is killed with all that it has started, as far as that has stayed in its group.
        """
        try:
            if self.record.exec_id and number == signal.SIGKILL:
                _kill_group(self._pidfd, self.record.pid)
            else:
                signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            raise not_running(self.record.id, self.record.exec_id) from None
        except OSError as error:
            raise InvalidArgumentError(f"send signal {number}: {error.strerror}") from error

    def resize(self, height: int, width: int) -> None:
        """Set the size of the terminal; ``InvalidArgumentError`` when there is none."""
        master = self.handles().get("master")
        if master is None:
            raise InvalidArgumentError(f'process of "{self.record.id}" has no terminal')
        try:
            termios.tcsetwinsize(master, (height, width))
        except (OverflowError, termios.error) as error:
            raise InvalidArgumentError(f"resize to {height}x{width}: {error}") from error

    def handles(self) -> dict[str, int]:
        """The descriptors that the engine shall hold, by role; they stay the task's."""
        found = {"pidfd": self._pidfd}
        for output in self._outputs.values():
            found |= output.handles()
        if self._input is not None and not self.record.terminal and self._input.fd >= 0:
            found["stdin"] = self._input.fd
        return found

    def state(self) -> TaskState:
        """What the engine is told."""
        record = self.record
        return TaskState(record.id, record.exec_id, record.pid, record.started_ns, record.terminal)

    def _wire(self, wires: dict[str, int]) -> None:
        if self.record.terminal:
            master = wires.get("master", -1)
            source: Source | None = None
            if master >= 0:
                self._open_input(os.dup(master), once=False)
                source = TerminalSource(master, wires["relay"])
            self._open_output(STDOUT, "stdout", source)
            self._outputs[STDOUT].reopens()
            return
        for stream, role in ((STDOUT, "stdout"), (STDERR, "stderr")):
            fd = wires.get(role, -1)
            self._open_output(stream, role, PipeSource(role, fd) if fd >= 0 else None)
        if "stdin" in wires:
            self._open_input(wires["stdin"], once=self.record.stdin_once)

    def _open_output(self, stream: int, role: str, source: Source | None) -> None:
        folder = self._around.store.folder(self.record.key)
        spool = Spool(f"{folder}/{role}.spool")
        spool.recover()
        around = self._around
        self._outputs[stream] = Output(
            around.loop, stream, source, spool, self._log, around.complain
        )

    def _open_input(self, fd: int, *, once: bool) -> None:
        self._input = Input(self._around.loop, fd, once=once, on_closed=self._input_closed)

    def _input_closed(self) -> None:
        if self._finished_ns or self.record.terminal:
            return
        self.record = self.record._replace(stdin_open=False)
        try:
            self._around.store.write(self.record)
        except OSError as error:
            self._around.complain(f"record of {self.record.key}: {error.strerror}")
        self._around.owner.input_closed(self)

    def _exited(self, _: int) -> None:
        try:
            self._code = ending.exit_code(self._pidfd, self.record.pid, self.record.start_time)
        except BlockingIOError:
            return
        self._finished_ns = time.time_ns()
        self._around.loop.unwatch(self._pidfd)
        for output in tuple(self._outputs.values()):
            output.drain()
        if self.record.private_pids or self._all_ended():
            self._complete()
            return
        for output in self._outputs.values():
            output.on_end = self._output_ended
        self._timer = self._around.loop.call_later(LINGER_SECONDS, self._complete)
        if not self.record.exec_id:
            self._around.owner.kill_rest(self)

    def _all_ended(self) -> bool:
        return all(output.ended for output in self._outputs.values())

    def _output_ended(self) -> None:
        if self._all_ended():
            self._complete()

    def _complete(self) -> None:
        if self._pidfd < 0:
            return
        pidfd, self._pidfd = self._pidfd, -1
        if self._timer is not None:
            self._timer.cancel()
        for output in tuple(self._outputs.values()):
            output.finish()
        if self._input is not None:
            self._input.close()
        if self._log is not None:
            self._log.close()
        os.close(pidfd)
        ended = self._exit()
        faults.point("supervisor.exit-known")
        try:
            self._around.store.write_exit(ended)
        except OSError as error:
            self._around.complain(f"record the exit of {self.record.key}: {error.strerror}")
        faults.point("supervisor.exit-recorded")
        for attachment in tuple(self._attachments):
            attachment.process_ended()
        self._around.owner.ended(self, ended)

    def _exit(self) -> Exit:
        record = self.record
        return Exit(
            record.id,
            record.exec_id,
            UNKNOWN_EXIT_CODE if self._code is None else self._code,
            oom_killed=not record.exec_id and self._around.owner.was_oom_killed(self),
            finished_ns=self._finished_ns,
            error=_UNKNOWN if self._code is None else "",
            started_ns=record.started_ns,
        )


def _kill_group(pidfd: int, pid: int) -> None:
    """Kill a process, and its group if it leads one; ``ProcessLookupError`` when it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL, None, _PROCESS_GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Linux before 6.9: nobody but this thread reaps it, so that its number stays its own.
        leads = os.getpgid(pid) == pid
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if leads:
            os.killpg(pid, signal.SIGKILL)


def not_running(container_id: str, exec_id: str) -> FailedPreconditionError:
    """The error for a process that has ended or was never started, in Docker's words."""
    what = f"exec process {exec_id}" if exec_id else f"container {container_id}"
    return FailedPreconditionError(f"{what} is not running")

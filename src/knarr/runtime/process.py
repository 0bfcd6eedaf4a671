"""What goes into a new process and what comes back, as values."""

from __future__ import annotations

import os
from typing import NamedTuple

_START_TIME = 19  # field 22, counted from the one behind the name


class Stdio(NamedTuple):
    """The descriptors that become 0, 1 and 2 of the new process; the caller keeps and closes them.

    With ``process.terminal`` the three are not used: the child opens a terminal in its own devpts
    and sends the master's descriptor by SCM_RIGHTS, with the terminal's name as the payload, over
    the unix socket ``console``. The message is there when the call returns. ``preserved`` is how
    many descriptors from 3 on the new process gets as they are here.
    """

    stdin: int
    stdout: int
    stderr: int
    console: int = -1
    preserved: int = 0


class Running(NamedTuple):
    """A process that was started; the caller owns ``pidfd``, closes it and reaps the process.

    It is a child of the calling process. Reap it by ``waitid(P_PIDFD, pidfd)``, never by
    ``waitpid(-1)``: the library has short-lived children of its own in other threads.
    ``start_time`` is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names
    the process for ever, also after the pid is used again.
    """

    pid: int
    pidfd: int
    start_time: int
    warnings: tuple[str, ...] = ()


def look(pid: int) -> tuple[str, int] | None:
    """The state letter and the start time of a process (proc_pid_stat(5)), None if it is gone."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # The name stands in parentheses and may hold anything, parentheses too.
        fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    return fields[0].decode(), int(fields[_START_TIME])

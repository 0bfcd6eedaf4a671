"""How a process ended, told by its pidfd.

A child tells by waitid(2). A process that was adopted after its supervisor had died is the child
of somebody else (init): while that has not reaped it, /proc/PID/stat shows the status; afterwards
the kernel keeps it for those who hold a pidfd (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15).

Sources: waitid(2), proc_pid_stat(5), include/uapi/linux/pidfd.h.
"""

from __future__ import annotations

import fcntl
import os
import struct

_INFO = struct.Struct("<QQ11Ii")  # mask, cgroupid, pid tgid ppid and eight ids, exit_code
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3
_SIGNAL_BASE = 128
_STATE, _START_TIME, _EXIT_CODE = 3, 22, 52
_ATTEMPTS = 3


def exit_code(pidfd: int, pid: int, start_time: int) -> int | None:
    """The code of the process whose pidfd has become readable, 128 + N for signal N; reaps it.

    None when it cannot be told: a stranger on an old kernel. ``BlockingIOError`` when the process
    still runs.
    """
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return _of_stranger(pidfd, pid, start_time)
    if result is None:
        raise BlockingIOError
    if result.si_code == os.CLD_EXITED:
        return result.si_status
    return _SIGNAL_BASE + result.si_status


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, None when there is no such process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[_START_TIME])


def _of_stranger(pidfd: int, pid: int, started: int) -> int | None:
    # It may be reaped between the two looks, and then the kernel tells at the next attempt.
    for _ in range(_ATTEMPTS):
        fields = _stat(pid)
        if fields is not None and int(fields[_START_TIME]) == started and fields[_STATE] == "Z":
            return _shell_code(int(fields[_EXIT_CODE]))
        try:
            answer = fcntl.ioctl(pidfd, _GET_INFO, _INFO.pack(_INFO_EXIT, *[0] * 13))
        except OSError:
            continue
        mask, *_, status = _INFO.unpack(answer)
        if mask & _INFO_EXIT:
            return _shell_code(status)
    return None


def _shell_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNAL_BASE - code


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat, numbered from 1 as in the manual."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name_end = text.rindex(")")
    return ["", str(pid), text[:name_end], *text[name_end + 2 :].split()]

"""Signals and the freezer: everything that concerns all processes of a cgroup at once.

Law: ``main`` is the directory whose members count, ``freezer`` the one that can freeze ("" where
none can). A v2 directory knows both; on v1 the freezer is a hierarchy of its own. Sources: kernel
Documentation/admin-guide/cgroup-v2.rst (``cgroup.kill``, ``cgroup.freeze``),
Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst.
"""

from __future__ import annotations

import errno
import os
import time
from signal import SIGKILL

from knarr.errors import FailedPreconditionError, UnavailableError
from knarr.runtime.cgroups import files, tree

_FREEZE_SECONDS = 10.0
_REFREEZE_EVERY = 50  # polls of the v1 freezer; a thaw lets a task out that cannot freeze


def processes(directory: str) -> list[int]:
    """The ids of all processes in the cgroup and below it; none where it is gone."""
    return [int(pid) for each in tree.walk(directory) for pid in tree.processes(each)]


def kill(main: str, freezer: str, signal: int) -> None:
    """Send ``signal`` to every process; none escapes by forking meanwhile."""
    if signal == SIGKILL and _kill_at_once(main):
        return
    was_frozen = frozen(freezer)
    if freezer and not was_frozen and os.access(freezer, os.F_OK):
        try:
            freeze(freezer)
            _signal_each(processes(main), signal)
        finally:
            thaw(freezer)
        return
    seen: set[int] = set()
    while new := set(processes(main)).difference(seen):
        _signal_each(sorted(new), signal)
        seen |= new
    if was_frozen and signal == SIGKILL:
        thaw(freezer)  # v1: a frozen task takes even SIGKILL only when it thaws


def _kill_at_once(directory: str) -> bool:
    """One write kills all, also frozen ones and those just being forked (v2, Linux 5.14)."""
    try:
        files.write_raw(f"{directory}/cgroup.kill", "1")
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
            return False
        raise files.refused(error, f"{directory}/cgroup.kill", "1") from error
    return True


def _signal_each(pids: list[int], signal: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal)
        except ProcessLookupError:
            continue


def freeze(freezer: str) -> None:
    """Stop all processes; returns when they are stopped.

    Raises ``UnavailableError`` when the kernel does not manage that within ten seconds (a process
    in an uninterruptible sleep); then nothing is frozen.
    """
    if not freezer:
        raise FailedPreconditionError("this host has no cgroup freezer")
    deadline = time.monotonic() + _FREEZE_SECONDS
    try:
        done = _freeze_v2(freezer, deadline)
    except FileNotFoundError:
        done = _freeze_v1(freezer, deadline)
    if not done:
        thaw(freezer)
        raise UnavailableError(f'freeze cgroup "{freezer}": its processes do not stop')


def _freeze_v2(freezer: str, deadline: float) -> bool:
    files.write_raw(f"{freezer}/cgroup.freeze", "1")
    return tree.wait_event(freezer, "frozen", "1", deadline)


def _freeze_v1(freezer: str, deadline: float) -> bool:
    """v1 has no event for this: ask again, at first at once, then each millisecond."""
    state = f"{freezer}/freezer.state"
    rounds = 0
    while True:
        files.write(state, "FROZEN")
        if files.read(state) == "FROZEN":
            return True
        rounds += 1
        if time.monotonic() >= deadline:
            return False
        if rounds % _REFREEZE_EVERY == 0:
            files.write(state, "THAWED")
        time.sleep(0 if rounds < 10 else 0.001)  # most freeze at the first try


def thaw(freezer: str) -> None:
    """Let the processes run again; a cgroup that is gone is no error."""
    if not freezer:
        raise FailedPreconditionError("this host has no cgroup freezer")
    try:
        files.write_raw(f"{freezer}/cgroup.freeze", "0")
    except FileNotFoundError:
        if os.access(freezer, os.F_OK):
            files.write(f"{freezer}/freezer.state", "THAWED")
    except OSError as error:
        raise files.refused(error, f"{freezer}/cgroup.freeze", "0") from error


def frozen(freezer: str) -> bool:
    """Whether ``freeze`` holds on this very cgroup."""
    if (state := files.find(f"{freezer}/cgroup.freeze")) is not None:
        return state == "1"
    return files.find(f"{freezer}/freezer.state") in {"FROZEN", "FREEZING"}

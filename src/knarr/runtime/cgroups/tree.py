"""Directories of a cgroup hierarchy: making them usable and taking them away.

Sources: kernel Documentation/admin-guide/cgroup-v2.rst ("no internal process constraint",
``cgroup.events``), Documentation/admin-guide/cgroup-v1/cpusets.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from typing import TYPE_CHECKING

from knarr.errors import FailedPreconditionError
from knarr.runtime.cgroups import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MODE = 0o755
_EVACUATIONS = 16  # rounds; each one finds only what was forked during the round before
_EVACUATED = "init"


def make(mount: str, path: str) -> None:
    """Make the cgroup ``path`` below ``mount`` and the missing ones above it.

    Raises ``FileExistsError`` when it is there already; other failures as ``KnarrError``.
    """
    directory = mount + path
    try:
        try:
            os.mkdir(directory, _MODE)
        except FileNotFoundError:
            os.makedirs(directory, _MODE)
    except FileExistsError:
        raise
    except OSError as error:
        raise files.refused(error, directory, "mkdir") from error


def ancestors(mount: str, path: str) -> Iterator[str]:
    """The directories above ``mount + path``, from the mount point downwards."""
    yield mount
    for index, letter in enumerate(path):
        if letter == "/" and index > 0:
            yield mount + path[:index]


def inherit_cpuset(mount: str, path: str) -> None:
    """Give a v1 cpuset, and those above it, the CPUs and memory nodes of their parents.

    A fresh v1 cpuset has none, and no process can join it (ENOSPC).
    """
    above = list(ancestors(mount, path))
    for parent, child in zip(above, [*above[1:], mount + path], strict=True):
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not files.read(f"{child}/{name}"):
                files.write(f"{child}/{name}", files.read(f"{parent}/{name}"))


def enable(mount: str, path: str, controllers: Iterable[str], needed: frozenset[str]) -> None:
    """Hand the v2 ``controllers`` down to the cgroup ``path``, through every cgroup above it.

    A controller that cannot be handed down is an error only if it is in ``needed``; a cgroup above
    that has processes is one always, because processes could not join those below it.
    """
    for directory in ancestors(mount, path):
        here = files.read(f"{directory}/cgroup.subtree_control").split()
        missing = sorted(set(controllers).difference(here))
        try:
            if missing:
                _enable_here(directory, missing, is_mount=directory == mount)
        except OSError as error:
            if error.errno in {errno.EBUSY, errno.EOPNOTSUPP}:
                raise _not_enabled(error, directory, missing) from error
            _enable_each(directory, missing, needed)


def _enable_here(directory: str, controllers: list[str], *, is_mount: bool) -> None:
    """All in one write: it takes effect as a whole or not at all.

    One by one, cpu and pids would be taken by a cgroup with processes too, and would make it the
    root of a threaded tree.
    """
    file = f"{directory}/cgroup.subtree_control"
    value = " ".join(f"+{controller}" for controller in controllers)
    try:
        files.write_raw(file, value)
    except OSError as error:
        # The root of a delegated tree (a container with its own cgroup namespace) may hold
        # processes, which forbids controllers below it until they have moved aside.
        if error.errno != errno.EBUSY or not is_mount or not _evacuate(directory):
            raise
        files.write_raw(file, value)


def _enable_each(directory: str, controllers: list[str], needed: frozenset[str]) -> None:
    for controller in controllers:
        try:
            files.write_raw(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if controller in needed:
                raise _not_enabled(error, directory, [controller]) from error


def _evacuate(directory: str) -> bool:
    """Move all processes of the delegated root into a child; whether none is left."""
    aside = f"{directory}/{_EVACUATED}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(aside, _MODE)
    for _ in range(_EVACUATIONS):
        pids = files.read(f"{directory}/cgroup.procs").split()
        if not pids:
            return True
        move(pids, f"{aside}/cgroup.procs")
    return False


def move(pids: Iterable[str], file: str) -> None:
    """Write each process id to ``file``; one that has ended meanwhile is no error."""
    for pid in pids:
        try:
            files.write_raw(file, pid)
        except ProcessLookupError:
            continue
        except OSError as error:
            raise files.refused(error, file, pid) from error


def _not_enabled(error: OSError, directory: str, controllers: list[str]) -> FailedPreconditionError:
    hint = None
    if error.errno in {errno.EBUSY, errno.EOPNOTSUPP}:
        hint = f'"{directory}" holds processes of its own; cgroup v2 limits only leaves'
    elif error.errno in {errno.ENOENT, errno.EINVAL}:
        hint = f"the controller is not delegated to {directory}, or is in use by a v1 hierarchy"
    value = " ".join(f"+{controller}" for controller in controllers)
    reason = (error.strerror or "").lower()
    return FailedPreconditionError(
        f'write "{value}" to "{directory}/cgroup.subtree_control": {reason}', hint=hint
    )


def walk(directory: str) -> Iterator[str]:
    """The cgroup at ``directory`` and those below it, each after the ones below it."""
    try:
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for child in below:
        yield from walk(child)
    yield directory


def remove(directory: str, deadline: float) -> None:
    """Remove the cgroup and those below it; one that is gone already is no error.

    Waits until ``deadline`` (of ``time.monotonic``) for processes that are about to end; then
    raises ``FailedPreconditionError``.
    """
    while True:
        if _remove_once(directory):
            return
        if time.monotonic() >= deadline:
            raise FailedPreconditionError(
                f'remove cgroup "{directory}": device or resource busy',
                hint="processes are left in it: " + " ".join(_pids(directory)[:5]),
            )
        _wait_until_empty(directory, deadline)


def _remove_once(directory: str) -> bool:
    if _rmdir(directory):
        return True
    removed = [_rmdir(each) for each in walk(directory)]
    return all(removed)


def _rmdir(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.ENOTEMPTY}:
            return False
        raise files.refused(error, directory, "rmdir") from error
    return True


def _wait_until_empty(directory: str, deadline: float) -> None:
    """Return when the cgroup may be empty now; v2 tells it, on v1 the processes' ends do."""
    try:
        wait_event(directory, "populated", "0", deadline)
    except FileNotFoundError:
        _wait_for_ends(_pids(directory), deadline)


def _wait_for_ends(pids: list[str], deadline: float) -> None:
    poller = select.poll()
    descriptors = []
    try:
        for pid in pids[:64]:
            try:
                descriptors.append(os.pidfd_open(int(pid)))
            except OSError:
                continue
            poller.register(descriptors[-1], select.POLLIN)
        # No process that can be waited for: one is between its last breath and leaving the list.
        left = max(0.0, deadline - time.monotonic()) if descriptors else 0.001
        poller.poll(left * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _pids(directory: str) -> list[str]:
    return [pid for each in walk(directory) for pid in processes(each)]


def processes(directory: str) -> list[str]:
    """The ids of the processes of this very cgroup; none where it is gone or threaded."""
    try:
        return files.read_raw(f"{directory}/cgroup.procs").split()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}:
            return []
        raise


def wait_event(directory: str, key: str, value: str, deadline: float) -> bool:
    """Wait until ``cgroup.events`` of a v2 cgroup says ``key value``; false at the deadline.

    A cgroup that was removed meanwhile counts as having said it. ``FileNotFoundError`` when the
    file does not exist from the start.
    """
    events = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        line = f"{key} {value}"
        while True:
            try:
                if line in os.pread(events, 4096, 0).decode().splitlines():
                    return True
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return True
                raise
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poller.poll(left * 1000)
    finally:
        os.close(events)

"""Out of memory: how often, and a descriptor that tells of it.

Sources: kernel Documentation/admin-guide/cgroup-v1/memory.rst (``cgroup.event_control``),
Documentation/admin-guide/cgroup-v2.rst (``memory.events``).
"""

from __future__ import annotations

import contextlib
import os
import select

from knarr.errors import FailedPreconditionError
from knarr.runtime.cgroups import files


class Watch:
    """Readable (POLLIN) when the kernel has something to tell about memory; never blocks.

    After each wake-up call ``drain``, which says how many processes the OOM killer has killed so
    far: v2 wakes also when a limit was merely touched, v1 also when the cgroup is removed. The
    owner closes it.
    """

    __slots__ = ("_descriptors", "_directory")

    def __init__(self, directory: str, *descriptors: int) -> None:
        self._directory = directory
        self._descriptors = descriptors

    def fileno(self) -> int:
        """The descriptor to poll, close-on-exec; for v2 an epoll that holds the file's event."""
        return self._descriptors[0]

    def drain(self) -> int:
        """Make it unreadable until the next event and return ``count`` of its cgroup."""
        try:
            os.pread(self._descriptors[-1], 4096, 0)
        except OSError:
            # An eventfd cannot seek; and a file of a removed cgroup has nothing more to say.
            with contextlib.suppress(OSError):
                os.read(self._descriptors[0], 8)
        return count(self._directory)

    def close(self) -> None:
        """Stop watching."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = ()


def count(directory: str) -> int:
    """How many processes of the memory cgroup the OOM killer has killed; 0 if it cannot be read."""
    for file in ("memory.events", "memory.oom_control"):
        if (text := files.find(f"{directory}/{file}")) is not None:
            return files.table(text).get("oom_kill", 0)
    return 0


def watch(directory: str) -> Watch:
    """Watch the memory cgroup at ``directory``, on v1 or v2.

    Raises ``FailedPreconditionError`` where there is none.
    """
    if not directory:
        raise FailedPreconditionError(
            'the "memory" cgroup controller is not available on this host'
        )
    try:
        events = os.open(f"{directory}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _watch_v1(directory)
    # The file is always readable and says news by POLLPRI, which event loops seldom ask for: an
    # epoll instance around it is readable just then.
    poller = select.epoll(flags=select.EPOLL_CLOEXEC)
    try:
        poller.register(events, select.EPOLLPRI)
        os.pread(events, 4096, 0)
        return Watch(directory, os.dup(poller.fileno()), events)
    finally:
        poller.close()


def _watch_v1(directory: str) -> Watch:
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.write(f"{directory}/cgroup.event_control", f"{event} {control}")
        finally:
            os.close(control)
    except OSError as error:
        os.close(event)
        raise files.refused(error, f"{directory}/memory.oom_control", "open") from error
    except BaseException:
        os.close(event)
        raise
    return Watch(directory, event)

"""Taking over the processes of a supervisor that has died.

A record without an exit is an orphan. The engine hands over the descriptors that it holds; for
what it does not hold (it died too) the pidfd is opened by pid and start time, and pipes are opened
again through /proc/PID/fd, where their inode is the recorded one. A terminal that nobody held is
gone for ever (its processes have got SIGHUP). A process that cannot be found has ended with a code
that nobody can tell.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from knarr.errors import KnarrError
from knarr.supervisor import ending
from knarr.supervisor.starting import Launched, open_log, open_sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.loop import Loop
    from knarr.supervisor.state import Record, Store

_MODES = {"stdin": os.O_WRONLY, "stdout": os.O_RDONLY, "stderr": os.O_RDONLY}


def adopt(
    record: Record, held: dict[str, int], store: Store, complain: Callable[[str], None]
) -> Launched | None:
    """Find the process of ``record`` again; takes over the descriptors in ``held``.

    None when it cannot be found; ``held`` is closed then.
    """
    wires = dict(held)
    pidfd = wires.pop("pidfd", -1)
    if pidfd < 0:
        pidfd = _pidfd(record)
    if pidfd < 0:
        for fd in wires.values():
            os.close(fd)
        return None
    if not held:
        wires = _reopen(record)
    if not record.stdin_open and "stdin" in wires:
        os.close(wires.pop("stdin"))
    if "master" in wires:
        os.set_blocking(wires["master"], False)
    log = sender = None
    folder = store.folder(record.key)
    try:
        sender = open_sender(record.log, folder, complain, connected=False)
        if sender is not None:
            sender.recover()
        log = open_log(record.log, folder, complain)
        if log is not None:
            log.recover()
    except (KnarrError, OSError) as error:
        # The process goes on all the same: better without a log than without a parent.
        complain(f"log of {record.key}: {error}")
    return Launched(record, pidfd, wires, log, sender=sender)


def send_rest(loop: Loop, record: Record, store: Store, complain: Callable[[str], None]) -> None:
    """Go on sending the lines of a process that has ended; rare, so it is loaded only here."""
    from knarr.supervisor import sender  # noqa: PLC0415 - a rare feature

    folder = store.folder(record.key)
    try:
        opened = open_sender(record.log, folder, complain, connected=False)
        if opened is not None:
            sender.send_rest(loop, opened, folder)
    except (KnarrError, OSError) as error:
        complain(f"rest of the log of {record.key}: {error}")


def _pidfd(record: Record) -> int:
    try:
        pidfd = os.pidfd_open(record.pid)
    except (ProcessLookupError, OSError):
        return -1
    if ending.start_time(record.pid) == record.start_time:
        return pidfd
    os.close(pidfd)
    return -1


def _reopen(record: Record) -> dict[str, int]:
    """The pipes of a running process, by the inodes that they were made with."""
    wanted = {f"pipe:[{inode}]": role for role, inode in record.pipes if role in _MODES}
    folder = f"/proc/{record.pid}/fd"
    found: dict[str, int] = {}
    try:
        names = sorted(os.listdir(folder), key=int)
    except OSError:
        return found
    for name in names:
        try:
            role = wanted.pop(os.readlink(f"{folder}/{name}"), None)
            if role is not None:
                mode = _MODES[role] | os.O_CLOEXEC | os.O_NONBLOCK
                found[role] = os.open(f"{folder}/{name}", mode)
        except OSError:
            continue
    return found

"""The log of one container: entries from two streams, journaled and rotated.

Law: ``append`` takes what stands in a spool and answers how far it has been logged. Entries that
cannot be written (full disk) are dropped, as Docker does, and counted: a container is not stopped
by its log. See ``journal`` for what happens at a kill.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from knarr.supervisor import jsonlog
from knarr.supervisor.journal import Journal, Record
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.messages import LogConfig

STDOUT = 1
STDERR = 2
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class ContainerLog:
    """Writes the json-file log of a container."""

    def __init__(self, config: LogConfig, journal: str, complain: Callable[[str], None]) -> None:
        self._files = jsonlog.LogFiles(config)
        self._journal = Journal(journal)
        self._extra = jsonlog.attributes(config.attrs)
        self._complain = complain
        self._path = config.path
        self._serial = 0
        self._failures = 0
        self._logged = {STDOUT: 0, STDERR: 0}
        self._files.mend()

    def recover(self) -> None:
        """Go on where an earlier supervisor was killed."""
        newest, before = self._journal.read()
        record = newest
        same_file = newest.inode == self._files.inode
        if newest.serial and same_file and self._files.size != newest.after:
            self._files.truncate(min(self._files.size, newest.before))
            # The slot of the record that did not come true must not count at the next kill.
            size = self._files.size
            record = newest._replace(
                before=size, after=size, stdout=before.stdout, stderr=before.stderr
            )
            self._journal.write(record)
        self._serial = newest.serial
        self._logged = {STDOUT: record.stdout, STDERR: record.stderr}

    def logged(self, stream: int) -> int:
        """The offset in the spool of ``stream`` up to which all is logged."""
        return self._logged[stream]

    def append(self, stream: int, data: bytes, *, final: bool = False) -> None:
        """Log ``data``, which begins at ``logged(stream)``, as far as its lines are complete."""
        stamp = jsonlog.timestamp(time.time_ns())
        for start, stop in jsonlog.segments(data, final=final):
            self._append(stream, data[start:stop], stamp)

    def close(self) -> None:
        """Close the files."""
        self._files.close()
        self._journal.close()

    def _append(self, stream: int, data: bytes, stamp: str) -> None:
        while data:
            self._files.measure()
            if self._files.full:
                self._rotate()
            written = jsonlog.entries(data, _NAMES[stream], stamp, self._extra)
            taken = len(data)
            room = self._files.room
            if room is not None and len(written) > room:
                cut = written.find(b"\n", max(room, 1) - 1) + 1
                taken = _end_of_line(data, written.count(b"\n", 0, cut))
                written = written[:cut]
            self._commit(stream, taken, written)
            data = data[taken:]

    def _commit(self, stream: int, taken: int, written: bytes) -> None:
        self._logged[stream] += taken
        self._note(len(written))
        faults.point("supervisor.log-announced")
        try:
            self._files.append(written)
        except OSError as error:
            self._count(error, "write")
            self._note(0)
        faults.point("supervisor.log-written")

    def _note(self, length: int) -> None:
        self._serial += 1
        size = self._files.size
        offsets = (self._logged[STDOUT], self._logged[STDERR])
        self._journal.write(Record(self._serial, self._files.inode, size, size + length, *offsets))

    def _rotate(self) -> None:
        try:
            self._files.rotate()
        except OSError as error:
            self._count(error, "rotate")
        faults.point("supervisor.log-rotated")

    def _count(self, error: OSError, what: str) -> None:
        """Complain at the first failure, the second, the fourth, and so on."""
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            self._complain(f'{what} log "{self._path}": {error.strerror} ({self._failures} times)')


def _end_of_line(data: bytes, count: int) -> int:
    """The offset behind the ``count``-th line of ``data``."""
    position = 0
    for _ in range(count):
        position = data.find(b"\n", position) + 1
        if position == 0:
            return len(data)
    return position

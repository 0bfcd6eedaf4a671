"""The log of one container: entries from two streams, journaled and rotated.

How they are written is told by the form: ``jsonlog``, or ``blocklog`` for the driver ``local``.

Law: ``append`` takes what stands in a spool and answers how far it has been logged. Entries that
cannot be written (full disk) are dropped, as Docker does, and counted: a container is not stopped
by its log. See ``journal`` for what happens at a kill.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from knarr.supervisor import jsonlog
from knarr.supervisor.journal import Journal, Record
from knarr.supervisor.logfiles import LogFiles
from knarr.supervisor.messages import JSON
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.logfiles import Form
    from knarr.supervisor.messages import LogConfig

STDOUT = 1
STDERR = 2


class Log(Protocol):
    """Where the output of a container goes. ``may_lose``: what it has not taken may be gone."""

    may_lose: bool

    def logged(self, stream: int) -> int:
        """The offset in the spool of ``stream`` up to which all is taken."""
        ...

    def kept(self, stream: int) -> int:
        """The offset up to which nothing in the spool is needed any more, come what may."""
        ...

    def append(self, stream: int, data: bytes, *, final: bool = False) -> None:
        """Log ``data``, which begins at ``logged(stream)``, as far as its lines are complete."""
        ...

    def skip(self, stream: int, offset: int) -> None:
        """Go on at ``offset``: what lies before it is lost."""
        ...

    def recover(self) -> None:
        """Go on where an earlier supervisor was killed."""
        ...

    def close(self) -> None:
        """Write what waits, and close the files."""
        ...


class ContainerLog:
    """Writes the log of a container into files."""

    may_lose = False

    def __init__(self, config: LogConfig, journal: str, complain: Callable[[str], None]) -> None:
        self._files = LogFiles(config)
        self._journal = Journal(journal)
        self._form = _form(config)
        self._complain = complain
        self._path = config.path
        self._serial = 0
        self._failures = 0
        self._logged = {STDOUT: 0, STDERR: 0}
        self._began = {STDOUT: 0, STDERR: 0}  # when the line that is not complete was begun
        self._files.mend(self._form)
        if config.compress:
            from knarr.supervisor import compression  # noqa: PLC0415 - a rare feature

            compression.clean(config.path)

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

    kept = logged

    def append(self, stream: int, data: bytes, *, final: bool = False) -> None:
        """Log ``data``, which begins at ``logged(stream)``, as far as its lines are complete."""
        now = time.time_ns()
        for start, stop in jsonlog.segments(data, final=final):
            self.write(stream, data[start:stop], now)

    def skip(self, stream: int, offset: int) -> None:
        """Go on at ``offset``: what lies before it is lost."""
        self._logged[stream] = offset

    def close(self) -> None:
        """Close the files."""
        self._files.close()
        self._journal.close()

    def write(self, stream: int, data: bytes, now: int) -> None:
        """Log ``data``, one of the ``jsonlog.segments``, which was read at ``now``.

        All pieces of a line have the time of the first, as in Docker.
        """
        began = self._began[stream]
        if began:
            stop = data.find(b"\n") + 1 or len(data)
            self._write(stream, data[:stop], began)
            if not data.endswith(b"\n", 0, stop):
                return
            data = data[stop:]
        self._began[stream] = 0 if data.endswith(b"\n") or not data else now
        self._write(stream, data, now)

    def _write(self, stream: int, data: bytes, now: int) -> None:
        while data:
            self._files.measure()
            if self._files.full:
                self._rotate()
            written, taken = self._form.pack(stream, data, now, self._files.room)
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


def _form(config: LogConfig) -> Form:
    if config.form == JSON:
        return jsonlog.JsonForm(config.attrs)
    from knarr.supervisor.blocklog import BlockForm  # noqa: PLC0415 - a rare feature

    return BlockForm()

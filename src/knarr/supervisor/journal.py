"""How far the log of a container has come, so that a kill tears and doubles nothing.

Before entries are written to the log, a record says what the log and the offsets in the spools
will be afterwards. There are two slots in the file, used in turns::

    serial  inode of the log  its size before  its size after  offset stdout  offset stderr

After a kill the newest record tells: when the log has the size that it names, the entries are
there, and logging goes on behind them; otherwise what was written of them is cut off and logging
goes on where the record before it ended. Another inode means that the log was rotated after the
record, which happens only when its entries were complete.

Law: one record is one pwrite(2) of less than a page. It is not synced: it serves against the end
of a process, and lies on a tmpfs; after the end of the machine no container runs either.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

_RECORD = struct.Struct("<6Q")
_SLOT = 64


class Record(NamedTuple):
    """One record; offsets are those behind the entries."""

    serial: int
    inode: int
    before: int
    after: int
    stdout: int
    stderr: int


class Journal:
    """The file with the two slots; made when it is first written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def write(self, record: Record) -> None:
        """Put a record over the older of the two."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._fd, _RECORD.pack(*record), record.serial % 2 * _SLOT)

    def read(self) -> tuple[Record, Record]:
        """The newest record and the one before it; zeros where there is none."""
        try:
            with open(self._path, "rb") as file:
                data = file.read(2 * _SLOT).ljust(2 * _SLOT, b"\0")
        except FileNotFoundError:
            data = bytes(2 * _SLOT)
        first, second = (Record(*_RECORD.unpack_from(data, slot)) for slot in (0, _SLOT))
        return (first, second) if first.serial > second.serial else (second, first)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

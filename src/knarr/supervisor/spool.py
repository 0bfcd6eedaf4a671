"""The spool: what a process wrote, between the pipe and everybody who wants it.

Law: a byte leaves the pipe only by splice(2) into this file, which is one system call. So at any
moment at which the supervisor is killed, each byte is either in the pipe (kept open by the engine)
or in the file, and the size of the file says which. Nothing of it has been lost, and the journal
says how much was logged: that is why logs are exact over ``kill -9``.

The file only grows; each reader (the log, every attached stream) has an offset in it. What all
have read is given back by punching holes, so it takes up little more than what lags behind.
It lies on the exec-root, a tmpfs normally; after a reboot it is not needed.
"""

from __future__ import annotations

import os

from knarr.sys.fallocate import punch_hole

CHUNK = 128 * 1024
_PUNCH_AT = 64 * 1024
_PAGE = 4096
_MODE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class Spool:
    """One file; made when the first byte comes. ``end`` is the number of bytes ever put in."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._punched = 0
        self._start = 0
        self._chunk = b""
        self.end = 0

    def recover(self) -> None:
        """Go on with the file of an earlier supervisor, if there is one."""
        if os.path.exists(self._path):
            self._fd = os.open(self._path, _MODE, 0o600)
            self.end = os.fstat(self._fd).st_size

    def fill(self, pipe: int) -> int:
        """Move what stands in ``pipe`` here, at most ``CHUNK`` bytes; 0 when it has ended.

        Raises ``BlockingIOError`` when nothing stands there, ``OSError`` (ENOSPC) when the
        exec-root is full: the bytes stay in the pipe then.
        """
        if self._fd < 0:
            self._fd = os.open(self._path, _MODE, 0o600)
        moved = os.splice(pipe, self._fd, CHUNK, offset_dst=self.end, flags=os.SPLICE_F_NONBLOCK)
        self.end += moved
        return moved

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop``, which must not have been trimmed."""
        begin = start - self._start
        if begin >= 0 and stop <= self._start + len(self._chunk):
            if begin == 0 and stop - start == len(self._chunk):
                return self._chunk
            return self._chunk[begin : stop - self._start]
        data = os.pread(self._fd, stop - start, start)
        if len(data) > len(self._chunk):
            self._start, self._chunk = start, data
        return data

    def line_from(self, start: int) -> int:
        """``start``, or where the first line begins behind what was given back of it.

        Only who may lose lines can find something given back that it has not read.
        """
        try:
            there = os.lseek(self._fd, start, os.SEEK_DATA)
        except OSError:
            return self.end
        if there == start:
            return start
        newline = os.pread(self._fd, CHUNK, there).find(b"\n")
        return there + newline + 1 if newline >= 0 else min(there + CHUNK, self.end)

    def trim(self, low: int) -> None:
        """Give back what lies before ``low``, which everybody has read."""
        self._chunk = b""
        whole = low - low % _PAGE
        if whole - self._punched >= _PUNCH_AT:
            try:
                punch_hole(self._fd, self._punched, whole - self._punched)
            except OSError:
                return
            self._punched = whole

    def close(self) -> None:
        """Close the file; who removes it is the owner of its directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

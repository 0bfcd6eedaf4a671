"""The files of a log: the one that is written, and those that were rotated away.

A file is rotated when it has reached ``max_size``, between two entries: ``x.log`` becomes
``x.log.1`` and so on up to ``max_file - 1``. Where rotated files are compressed they end in
``.gz``; see ``compression``.

Law: a kill at any moment leaves files that the next call, or the next supervisor, goes on with.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from knarr.supervisor.messages import LogConfig


class Form(Protocol):
    """How lines become entries of a file."""

    def pack(self, stream: int, data: bytes, now: int, room: int | None) -> tuple[bytes, int]:
        """Entries for ``data``, and how much of it they hold.

        ``data`` is whole lines and at most one unfinished line at their end. With a ``room``,
        the first entry that reaches it is the last one.
        """
        ...

    def whole(self, fd: int, size: int) -> int:
        """Where the last whole entry of a file ends: a crash of the host may have torn one."""
        ...


class LogFiles:
    """The present file, and those that were rotated away. ``size`` is that of the present one."""

    def __init__(self, config: LogConfig) -> None:
        self._path = config.path
        self._max_size = config.max_size
        self._max_file = max(1, config.max_file)
        self._compress = config.compress and self._max_file > 1
        self._fd = -1
        self.size = 0
        self.inode = 0
        self._open()

    @property
    def full(self) -> bool:
        """Whether the next entry belongs into another file."""
        return self.size > 0 and 0 <= self._max_size <= self.size

    @property
    def room(self) -> int | None:
        """Bytes until the file has to be rotated; None when never."""
        return None if self._max_size < 0 else self._max_size - self.size

    def append(self, data: bytes) -> None:
        """Write entries; all of them or, with ``OSError``, none."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.truncate(self.size)
            raise
        self.size += len(data)

    def truncate(self, size: int) -> None:
        """Cut off what was written after ``size``."""
        os.ftruncate(self._fd, size)
        self.size = size

    def measure(self) -> int:
        """Look at the file again: somebody else may have emptied it."""
        self.size = os.fstat(self._fd).st_size
        return self.size

    def rotate(self) -> None:
        """Begin a new file.

        When it is killed half-way the next call finds a gap in the numbers and does not move
        the files behind it again. After an ``OSError`` the present file stays in use.
        """
        if self._max_file == 1:
            self.truncate(0)
            return
        if not self._compress:
            self._shift(("",))
            self._open()
            return
        from knarr.supervisor import compression  # noqa: PLC0415 - a rare feature

        with compression.renaming:
            self._shift(("", compression.SUFFIX))
        self._open()
        compression.compress(self._path)

    def close(self) -> None:
        """Close the present file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def mend(self, form: Form) -> None:
        """Cut off an entry that a crash of the host has torn."""
        whole = form.whole(self._fd, self.size) if self.size else 0
        if whole < self.size:
            self.truncate(whole)

    def _shift(self, suffixes: tuple[str, ...]) -> None:
        """Give every file the next number; the oldest one goes."""
        path, numbers = self._path, range(1, self._max_file)

        def taken(number: int) -> bool:
            return any(os.path.exists(f"{path}.{number}{suffix}") for suffix in suffixes)

        gap = next((number for number in numbers if not taken(number)), numbers[-1])
        for suffix in suffixes:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}.{gap}{suffix}")
        for number in range(gap, 1, -1):
            for suffix in suffixes:
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{path}.{number - 1}{suffix}", f"{path}.{number}{suffix}")
        if os.path.exists(path):
            os.rename(path, f"{path}.1")

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path, flags, 0o640)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file")
        self.close()
        self._fd = fd
        self.size, self.inode = status.st_size, status.st_ino

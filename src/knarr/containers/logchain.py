"""The files of a log, followed from one to the next while they are rotated and compressed.

Layout: ``x.log`` is written now; ``x.log.1`` is the one before it, ``x.log.2`` older, and so on.
Any of the older ones may be ``x.log.N.gz`` instead; see ``knarr.supervisor.logfiles``.

Law: names say nothing about a file that is open, because they change at any moment. A file is
known by its inode number, which belongs to nothing else while it is open; what it was compressed
into names it. The directory is held open too: a log that is removed meanwhile is read to its end
as far as its files are open.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from typing import TYPE_CHECKING, NamedTuple

from knarr.supervisor.compression import SUFFIX, made_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOKS = 10
_HEAD = 64
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class _Named(NamedTuple):
    """A file under the name that it has now; ``origin`` is the plain file that it was."""

    name: str
    inode: int
    origin: int


class LogFile:
    """An open file of the log; what was compressed reads as it was."""

    def __init__(self, fd: int, *, compressed: bool) -> None:
        self._fd = fd
        self.compressed = compressed
        self.inode = os.fstat(fd).st_ino
        self._unpacked = self._unpack() if compressed else None
        self._end: int | None = None

    @property
    def size(self) -> int:
        """Bytes on disk, as far as they are to be read."""
        size = os.fstat(self._fd).st_size
        return size if self._end is None else min(size, self._end)

    @property
    def is_cut(self) -> bool:
        """Whether it is read as it was at a moment, see ``cut``."""
        return self._end is not None

    def cut(self, size: int) -> None:
        """Be a file of this size, whatever is added to it."""
        self._end = size

    @property
    def has_name(self) -> bool:
        """Whether it is still somewhere in a directory."""
        return os.fstat(self._fd).st_nlink > 0

    def read(self, size: int) -> bytes:
        """The next bytes; empty at the present end. What is damaged is the end."""
        if self._unpacked is None:
            if self._end is not None:
                size = min(size, max(0, self._end - os.lseek(self._fd, 0, os.SEEK_CUR)))
            return os.read(self._fd, size)
        try:
            return self._unpacked.read(size)
        except (OSError, EOFError, zlib.error):
            return b""

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of a file that is not compressed."""
        return os.pread(self._fd, size, offset)

    def seek(self, offset: int) -> None:
        """Read on at ``offset``; in a compressed file only 0 is of use."""
        os.lseek(self._fd, offset if self._unpacked is None else 0, os.SEEK_SET)
        if self._unpacked is not None:
            self._unpacked = self._unpack()

    def was_emptied(self) -> bool:
        """Whether it is shorter than what was read of it; then it is read from its start."""
        if self.compressed or os.lseek(self._fd, 0, os.SEEK_CUR) <= self.size:
            return False
        os.lseek(self._fd, 0, os.SEEK_SET)
        return True

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _unpack(self) -> gzip.GzipFile:
        return gzip.GzipFile(fileobj=open(self._fd, "rb", closefd=False), mode="rb")


class Chain:
    """All files of the log at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1
        self._newest: tuple[int, int] | None = None

    def freeze(self) -> None:
        """From now on the log is as it is at this moment, however fast it grows."""
        for file in self.newest_first():
            if not file.compressed:
                self._newest = file.inode, file.size
            file.close()
            return

    def close(self) -> None:
        """Close the directory."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def oldest(self) -> LogFile | None:
        """The oldest file, None when there is none."""
        for _ in range(_LOOKS):
            names = self._names()
            if not names:
                return None
            opened = self._open(names[-1])
            if opened is not None:
                return opened
        return None

    def newest_first(self) -> Iterator[LogFile]:
        """All files as they are now, beginning with the newest; the taker closes them."""
        for named in self._names():
            opened = self._open(named)
            if opened is not None:
                yield opened

    def after(self, present: LogFile) -> LogFile | None:
        """The file that was begun after ``present``; None when there is none yet.

        When ``present`` was rotated away altogether, the oldest that is left.
        """
        if present.is_cut:
            return None
        for _ in range(_LOOKS):
            names = self._names(until=present.inode)
            place = _place(names, present)
            if place is None:
                if present.has_name:
                    continue  # it was renamed while we looked
                return self.oldest()
            if place == 0:
                return None
            opened = self._open(names[place - 1])
            if opened is not None:
                return opened
        return None

    def _names(self, until: int = 0) -> list[_Named]:
        """The files, newest first, up to the one with inode ``until``, as they were at a moment."""
        names = self._look(until)
        for _ in range(_LOOKS):
            before, names = names, self._look(until)
            if names == before:
                break
        return names

    def _look(self, until: int) -> list[_Named]:
        folder = self._directory()
        names: list[_Named] = []
        number = missing = 0
        while folder >= 0 and missing < 2:
            name = f"{self._path.name}.{number}" if number else self._path.name
            # Compressed comes first: where a kill has left both, they are the same.
            found = self._compressed(folder, name + SUFFIX) if number else None
            found = found or self._plain(folder, name)
            number += 1
            missing = 0 if found or number == 1 else missing + 1
            if found is not None:
                names.append(found)
                if found.inode == until:
                    break
        return names

    def _plain(self, folder: int, name: str) -> _Named | None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return _Named(name, found.st_ino, found.st_ino) if stat.S_ISREG(found.st_mode) else None

    def _compressed(self, folder: int, name: str) -> _Named | None:
        try:
            fd = os.open(name, _FLAGS, dir_fd=folder)
        except OSError:
            return None
        try:
            return _Named(name, os.fstat(fd).st_ino, made_from(os.pread(fd, _HEAD, 0)))
        finally:
            os.close(fd)

    def _open(self, named: _Named) -> LogFile | None:
        """The file, None when its name belongs to another one by now."""
        try:
            fd = os.open(named.name, _FLAGS, dir_fd=self._directory())
        except OSError:
            return None
        opened = LogFile(fd, compressed=named.name.endswith(SUFFIX))
        if opened.inode != named.inode:
            opened.close()
            return None
        if self._newest is not None and opened.inode == self._newest[0]:
            opened.cut(self._newest[1])
        return opened

    def _directory(self) -> int:
        if self._folder < 0:
            try:
                self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                return -1
        return self._folder


def _place(names: list[_Named], present: LogFile) -> int | None:
    for index, named in enumerate(names):
        if named.inode == present.inode:
            return index
    if present.compressed or present.has_name:
        return None
    return next((i for i, named in enumerate(names) if named.origin == present.inode), None)

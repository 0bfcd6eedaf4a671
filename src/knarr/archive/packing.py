"""A file or a directory with all below it as a tar, read from a place that nobody trusts.

Laws: the tree is entered descriptor by descriptor and no symbolic link is ever followed, so what is
read lies below the file that was given, whoever changes the tree meanwhile. Files are opened only
when they are known to be regular, by the descriptor that says so: nothing blocks on a FIFO and no
device is touched. Entries are sorted, parents first. A file that changes while it is read has the
size that its entry says; one that vanishes is left out. Sockets are left out, as in Docker.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from . import facts
from .failure import BadArchiveError, shown
from .tarwriter import TarWriter
from .tree import MAX_DEPTH, MAX_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    Enters = Callable[[int], bool]
    """Whether a directory on another file system than its parent is entered, by its descriptor."""

_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def everywhere(_: int) -> bool:
    """Enter every directory."""
    return True


def pack(top: int, name: bytes, out: BinaryIO, *, enters: Enters = everywhere) -> None:
    """Write the file ``top`` (open with O_PATH) under ``name``, with all below it, and the end."""
    packer = _Packer(out, enters)
    info = os.fstat(top)
    if stat.S_ISDIR(info.st_mode):
        packer.directory(top, name + b"/", info)
        if enters(top):
            packer.below(top, name + b"/")
    else:
        packer.file(top, name, info)
    packer.close()


def pack_below(top: int, out: BinaryIO, *, enters: Enters = everywhere) -> None:
    """Write everything below the directory ``top``, not itself, and the end."""
    packer = _Packer(out, enters)
    packer.below(top, b"")
    packer.close()


class _Level:
    """A directory that is being written; ``path`` ends with a slash unless it is empty."""

    __slots__ = ("device", "fd", "names", "path")

    def __init__(self, node: int, path: bytes) -> None:
        self.path = path
        self.fd = os.open(b".", _DIRECTORY, dir_fd=node)
        try:
            self.device = os.fstat(self.fd).st_dev
            with os.scandir(self.fd) as entries:
                names = (os.fsencode(entry.name) for entry in entries)
                self.names = sorted(names, reverse=True)
        except BaseException:
            os.close(self.fd)
            raise


def _check_depth(levels: list[_Level]) -> None:
    if len(levels) > MAX_DEPTH:
        raise BadArchiveError(f"{shown(levels[-1].path)}: directories are nested too deeply")


class _Packer:
    def __init__(self, out: BinaryIO, enters: Enters) -> None:
        self._tar = TarWriter(out)
        self._enters = enters
        self._links = facts.HardLinks()

    def close(self) -> None:
        """Write the end mark."""
        self._tar.close()

    def below(self, top: int, path: bytes) -> None:
        """Write what is in the directory ``top``, whose entries begin with ``path``."""
        levels = [_Level(top, path)]
        try:
            while levels:
                level = levels[-1]
                below = self._step(level) if level.names else None
                if below is not None:
                    levels.append(below)
                    _check_depth(levels)
                elif not level.names:
                    os.close(levels.pop().fd)
        finally:
            for level in levels:
                os.close(level.fd)

    def _step(self, level: _Level) -> _Level | None:
        """Write the next file of a directory; a directory to be entered is returned open."""
        name = level.names.pop()
        path = level.path + name
        if len(path) >= MAX_PATH:
            raise BadArchiveError(f"{shown(path)}: path too long")
        try:
            node = os.open(name, _NODE, dir_fd=level.fd)
        except FileNotFoundError:
            return None  # removed since the directory was read
        try:
            info = os.fstat(node)
            if not stat.S_ISDIR(info.st_mode):
                self.file(node, path, info)
                return None
            self.directory(node, path + b"/", info)
            if info.st_dev != level.device and not self._enters(node):
                return None
            return _Level(node, path + b"/")
        finally:
            os.close(node)

    def directory(self, node: int, path: bytes, info: os.stat_result) -> None:
        """Write the entry of a directory."""
        self._tar.add(facts.entry(path, info, facts.read_xattrs_of(node)))

    def file(self, node: int, path: bytes, info: os.stat_result) -> None:
        """Write the entry of anything else, and its content."""
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFSOCK or self._link(path, info):
            return
        if kind == stat.S_IFLNK:
            link = os.fsencode(os.readlink("", dir_fd=node))
            self._tar.add(facts.entry(path, info, {})._replace(link=link))
            return
        entry = facts.entry(path, info, facts.read_xattrs_of(node))
        if kind == stat.S_IFREG:
            with open(f"/proc/self/fd/{node}", "rb", buffering=0) as data:  # noqa: PTH123
                self._tar.add(entry, data)
        else:
            self._tar.add(entry)

    def _link(self, path: bytes, info: os.stat_result) -> bool:
        """Write a hard link when the file was written under another name."""
        if link := self._links.entry(path, info):
            self._tar.add(link)
        return link is not None

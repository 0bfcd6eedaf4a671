"""The upper directory of an overlay as the tar of a layer.

Laws: entries are sorted by their bytes, parents first, and carry nothing of this machine, so equal
trees give equal tars. Whiteouts and opaque directories of overlayfs become those of OCI layers.
Sockets are left out, as in Docker. The directory may belong to a container that is running and
hostile: it is entered descriptor by descriptor, and no symbolic link is ever followed.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from . import facts, holes, whiteout
from .entry import NO_XATTRS, Entry
from .facts import read_xattrs
from .failure import BadArchiveError, shown
from .tarwriter import TarWriter
from .tree import MAX_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPAQUE = os.fsdecode(whiteout.OPAQUE_XATTR)
_WHITEOUT = os.fsdecode(whiteout.WHITEOUT_XATTR)


def write(
    upper: int, out: BinaryIO, *, hides: Callable[[bytes], bool], with_root: bool = False
) -> None:
    """Write the changes in the directory ``upper`` to ``out``.

    ``hides`` says whether the layers below have a directory at a path: only there an opaque
    directory hides something (overlayfs marks many that hide nothing). ``with_root`` adds an
    entry for the root itself.
    """
    difference = _Difference(out, hides)
    if with_root:
        difference.root(upper)
    difference.run(upper)


class _Level:
    """A directory that is being written; ``path`` ends with a slash, but for the root's."""

    __slots__ = ("fd", "names", "path")

    def __init__(self, fd: int, path: bytes) -> None:
        self.fd = fd
        self.path = path
        with os.scandir(fd) as entries:
            self.names = sorted((os.fsencode(entry.name) for entry in entries), reverse=True)


class _Difference:
    def __init__(self, out: BinaryIO, hides: Callable[[bytes], bool]) -> None:
        self._tar = TarWriter(out)
        self._hides = hides
        self._links = facts.HardLinks()

    def root(self, upper: int) -> None:
        """Write the entry of the root."""
        self._tar.add(facts.entry(b"./", os.fstat(upper), read_xattrs(upper)))

    def run(self, upper: int) -> None:
        """Write everything below ``upper``, and the end mark."""
        levels = [_Level(os.dup(upper), b"")]
        try:
            while levels:
                level = levels[-1]
                below = self._step(level) if level.names else None
                if below is not None:
                    levels.append(below)
                elif not level.names:
                    os.close(levels.pop().fd)
        finally:
            for level in levels:
                os.close(level.fd)
        self._tar.close()

    def _step(self, level: _Level) -> _Level | None:
        """Write the next file of a directory; a directory is returned open."""
        name = level.names.pop()
        path = level.path + name
        if len(path) >= MAX_PATH:
            raise BadArchiveError(f"{shown(path)}: path too long")
        try:
            info = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                return self._directory(level, name, path)
            self._file(level, name, path, info)
        except FileNotFoundError:
            pass  # removed since the directory was read
        return None

    def _directory(self, level: _Level, name: bytes, path: bytes) -> _Level:
        _check_name(name, path)
        fd = os.open(name, _DIRECTORY, dir_fd=level.fd)
        try:
            xattrs = read_xattrs(fd)
            self._tar.add(facts.entry(path + b"/", os.fstat(fd), xattrs))
            if xattrs.get(_OPAQUE) == whiteout.OPAQUE_VALUE and self._hides(path):
                self._tar.add(_marker(path + b"/" + whiteout.OPAQUE))
            return _Level(fd, path + b"/")
        except BaseException:
            os.close(fd)
            raise

    def _file(self, level: _Level, name: bytes, path: bytes, info: os.stat_result) -> None:
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFSOCK:
            return
        if whiteout.is_overlay_whiteout(info.st_mode, info.st_rdev):
            self._whiteout(level, name)
            return
        if kind == stat.S_IFREG:
            self._regular(level, name, path)
            return
        _check_name(name, path)
        if self._link(path, info):
            return
        xattrs = read_xattrs(f"/proc/self/fd/{level.fd}/".encode() + name)
        link = os.readlink(name, dir_fd=level.fd) if kind == stat.S_IFLNK else b""
        self._tar.add(facts.entry(path, info, xattrs)._replace(link=link))

    def _regular(self, level: _Level, name: bytes, path: bytes) -> None:
        with os.fdopen(os.open(name, _FILE, dir_fd=level.fd), "rb", buffering=0) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise BadArchiveError(f"{shown(path)} changed while it was read")
            xattrs = read_xattrs(file.fileno())
            if not info.st_size and _WHITEOUT in xattrs:
                self._whiteout(level, name)
                return
            _check_name(name, path)
            if not self._link(path, info):
                entry = facts.entry(path, info, xattrs)
                extents = holes.find(file.fileno(), info)
                self._tar.add(entry._replace(extents=extents), file)

    def _link(self, path: bytes, info: os.stat_result) -> bool:
        """Write a hard link when the file was written under another name."""
        if link := self._links.entry(path, info):
            self._tar.add(link)
        return link is not None

    def _whiteout(self, level: _Level, name: bytes) -> None:
        self._tar.add(_marker(level.path + whiteout.PREFIX + name))


def _marker(path: bytes) -> Entry:
    """The empty file that is a whiteout."""
    return Entry(path, stat.S_IFREG, 0, 0, 0, 0, 0, b"", 0, NO_XATTRS, 0)


def _check_name(name: bytes, path: bytes) -> None:
    if name.startswith(whiteout.PREFIX):
        raise BadArchiveError(f"{shown(path)} cannot be in a layer: the name means a whiteout")

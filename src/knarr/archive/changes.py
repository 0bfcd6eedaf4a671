"""What the writable layer of an overlay changes, as ``docker diff`` shows it.

Law: what counts is what can be seen: a file of the upper directory that looks like the one below it
(type, mode, owner, size and time) is no change, nor is a directory that was only copied up. Neither
tree is trusted: no symbolic link is followed.

Source: the observed behaviour of dockerd with overlay2.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from knarr.sys.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

from . import whiteout
from .facts import read_xattrs_of
from .failure import BadArchiveError, shown
from .tree import MAX_DEPTH

MODIFIED, ADDED, DELETED = 0, 1, 2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_CAPABILITY = "security.capability"
_SECOND = 1_000_000_000


class Change(NamedTuple):
    """A change: what it is, and the path of the file, which begins with a slash."""

    kind: int
    path: bytes


def compare(upper: int, lower: int) -> list[Change]:
    """The changes in the directory ``upper`` against the tree ``lower``, parents first."""
    return _Comparison(lower).run(upper)


class _Level:
    """A directory of the upper tree that is being compared.

    ``place`` is where its own change stands in the result, ``kind`` what it is even if nothing
    below has changed, None: then nothing.
    """

    __slots__ = ("fd", "kind", "names", "path", "place")

    def __init__(self, node: int, path: bytes, *, place: int = 0, kind: int | None = None) -> None:
        self.path = path
        self.place = place
        self.kind = kind
        self.fd = os.open(b".", _DIRECTORY, dir_fd=node)
        try:
            self.names = sorted(_names(self.fd), reverse=True)
        except BaseException:
            os.close(self.fd)
            raise


class _Comparison:
    def __init__(self, lower: int) -> None:
        self._lower = lower
        self._found: list[Change | None] = []

    def run(self, upper: int) -> list[Change]:
        levels = [_Level(upper, b"")]
        try:
            while levels:
                level = levels[-1]
                if not level.names:
                    self._finish(levels.pop())
                    continue
                below = self._step(level, level.names.pop())
                if below is None:
                    continue
                levels.append(below)
                if len(levels) > MAX_DEPTH:
                    raise BadArchiveError(f"{shown(below.path)}: directories are nested too deeply")
        finally:
            for level in levels:
                os.close(level.fd)
        return [change for change in self._found if change is not None]

    def _finish(self, level: _Level) -> None:
        """All below a directory is known, and so is whether it counts itself."""
        os.close(level.fd)
        if not level.path:
            return
        touched = len(self._found) - 1 > level.place
        if level.kind is not None or touched:
            kind = MODIFIED if level.kind is None else level.kind
            self._found[level.place] = Change(kind, level.path)
        else:
            self._found.pop()

    def _step(self, level: _Level, name: bytes) -> _Level | None:
        """Compare one file; a directory is returned open."""
        path = level.path + b"/" + name
        before = self._find(path)
        try:
            node = os.open(name, _NODE, dir_fd=level.fd)
        except FileNotFoundError:  # gone since, or hidden by an opaque directory
            self._deleted(path, before)
            return None
        try:
            after = _Seen(node)
            if after.is_whiteout:
                self._deleted(path, before)
            elif after.is_directory:
                return self._directory(node, path, before, after)
            elif before != after:
                self._found.append(Change(ADDED if before is None else MODIFIED, path))
            return None
        finally:
            os.close(node)

    def _deleted(self, path: bytes, before: _Seen | None) -> None:
        if before is not None:
            self._found.append(Change(DELETED, path))

    def _directory(self, node: int, path: bytes, before: _Seen | None, after: _Seen) -> _Level:
        kind = ADDED if before is None else MODIFIED if before != after else None
        level = _Level(node, path, place=len(self._found), kind=kind)
        self._found.append(None)
        if before is not None and before.is_directory and after.is_opaque:
            level.names = sorted({*level.names, *self._covered(path)}, reverse=True)
        return level

    def _find(self, path: bytes) -> _Seen | None:
        """The file of the lower tree, or None."""
        try:
            node = openat2(self._lower, path.lstrip(b"/"), _NODE, resolve=_BELOW)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        try:
            return _Seen(node)
        finally:
            os.close(node)

    def _covered(self, path: bytes) -> list[bytes]:
        """The names in a directory of the lower tree that an opaque one above it covers."""
        opened = openat2(self._lower, path.lstrip(b"/"), _DIRECTORY, resolve=_BELOW)
        try:
            return _names(opened)
        finally:
            os.close(opened)


class _Seen:
    """What of a file counts when two are compared."""

    def __init__(self, node: int) -> None:
        info = os.fstat(node)
        self._info = info
        self.is_directory = stat.S_ISDIR(info.st_mode)
        self._xattrs = {} if stat.S_ISLNK(info.st_mode) else read_xattrs_of(node)

    @property
    def is_whiteout(self) -> bool:
        """Whether it says that its name is gone."""
        if whiteout.is_overlay_whiteout(self._info.st_mode, self._info.st_rdev):
            return True
        mark = os.fsdecode(whiteout.WHITEOUT_XATTR)
        return stat.S_ISREG(self._info.st_mode) and not self._info.st_size and mark in self._xattrs

    @property
    def is_opaque(self) -> bool:
        """Whether it covers what is in the directory below it."""
        return self._xattrs.get(os.fsdecode(whiteout.OPAQUE_XATTR)) == whiteout.OPAQUE_VALUE

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Seen):
            return NotImplemented
        mine, theirs = self._info, other._info
        if (mine.st_mode, mine.st_uid, mine.st_gid, mine.st_rdev) != (
            theirs.st_mode,
            theirs.st_uid,
            theirs.st_gid,
            theirs.st_rdev,
        ):
            return False
        if self._xattrs.get(_CAPABILITY) != other._xattrs.get(_CAPABILITY):
            return False
        return self.is_directory or (
            mine.st_size == theirs.st_size and _same_time(mine.st_mtime_ns, theirs.st_mtime_ns)
        )

    __hash__ = None  # type: ignore[assignment]


def _same_time(one: int, other: int) -> bool:
    """Whether two times are the same, one of which may have been stored in whole seconds."""
    if one == other:
        return True
    return one // _SECOND == other // _SECOND and 0 in (one % _SECOND, other % _SECOND)


def _names(directory: int) -> list[bytes]:
    with os.scandir(directory) as entries:
        return [os.fsencode(entry.name) for entry in entries]

"""A layer's tree as real files, in the form that overlayfs reads.

Law: no path of a tar is walked. The tree is already resolved (see ``tree``), every directory is
made here, fresh, and entered by its descriptor without following links; so whatever a tar says,
nothing outside of the destination is touched. The destination belongs to the caller alone.

Descriptors: one per level of the tree that is being written; ``tree.MAX_DEPTH`` bounds them.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tree import Node, Tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY = 1 << 30


def unpack(tree: Tree, destination: int, tar: int) -> None:
    """Write ``tree`` into the empty directory ``destination``; ``tar`` holds the data."""
    _Unpacker(destination, tar).run(tree.root)


class _Level:
    """A directory that is being filled."""

    __slots__ = ("fd", "node", "pending")

    def __init__(self, fd: int, node: Node) -> None:
        self.fd = fd
        self.node = node
        self.pending: Iterator[tuple[bytes, Node]] = iter(sorted((node.children or {}).items()))


class _Unpacker:
    def __init__(self, destination: int, tar: int) -> None:
        self._root = destination
        self._tar = tar
        self._path: list[bytes] = []
        self._linked: dict[int, bytes] = {}

    def run(self, root: Node) -> None:
        levels = [_Level(os.dup(self._root), root)]
        try:
            while levels:
                level = levels[-1]
                below = self._fill(level)
                if below is not None:
                    levels.append(below)
                    continue
                _finish(level)
                os.close(levels.pop().fd)
                if self._path:
                    self._path.pop()
        finally:
            for level in levels:
                os.close(level.fd)

    def _fill(self, level: _Level) -> _Level | None:
        """Make the files of a directory up to its next subdirectory, which is returned open."""
        for name, node in level.pending:
            if node.children is None:
                self._make(level.fd, name, node)
                continue
            os.mkdir(name, 0o700, dir_fd=level.fd)
            self._path.append(name)
            return _Level(os.open(name, _DIRECTORY, dir_fd=level.fd), node)
        return None

    def _make(self, directory: int, name: bytes, node: Node) -> None:
        first = self._linked.get(id(node))
        if first is not None:
            os.link(first, name, src_dir_fd=self._root, dst_dir_fd=directory, follow_symlinks=False)
            return
        if not node.is_whiteout:
            self._linked[id(node)] = b"/".join([*self._path, name])
        kind = stat.S_IFMT(node.mode)
        if kind == stat.S_IFREG:
            self._regular(directory, name, node)
        elif kind == stat.S_IFLNK:
            os.symlink(node.link, name, dir_fd=directory)
            _dress(directory, name, node)
        else:
            os.mknod(name, kind | 0o600, node.rdev, dir_fd=directory)
            _dress(directory, name, node)
            os.chmod(name, stat.S_IMODE(node.mode), dir_fd=directory)

    def _regular(self, directory: int, name: bytes, node: Node) -> None:
        fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
        try:
            if node.extents is None:
                self._copy(fd, node.offset, 0, node.size)
            else:
                for extent in node.extents:
                    self._copy(fd, extent.offset, extent.start, extent.length)
                os.ftruncate(fd, node.size)
            _dress_open(fd, node)
        finally:
            os.close(fd)

    def _copy(self, fd: int, source: int, target: int, length: int) -> None:
        while length:
            done = os.copy_file_range(self._tar, fd, min(length, _COPY), source, target)
            if not done:  # the tar was read to its end before
                raise OSError(5, "the tar file has become shorter")
            source, target, length = source + done, target + done, length - done


def _finish(level: _Level) -> None:
    """A directory gets its attributes last, because what is made in it changes its times."""
    _dress_open(level.fd, level.node)


def _dress_open(fd: int, node: Node) -> None:
    """Owner before mode and capabilities: chown(2) takes those away."""
    os.fchown(fd, node.uid, node.gid)
    os.fchmod(fd, stat.S_IMODE(node.mode))
    for name, value in node.overlay_xattrs().items():
        os.setxattr(fd, name, value)
    os.utime(fd, ns=(node.mtime, node.mtime))


def _dress(directory: int, name: bytes, node: Node) -> None:
    """The same for a file that must not be opened."""
    os.chown(name, node.uid, node.gid, dir_fd=directory, follow_symlinks=False)
    if node.xattrs:  # the calls for attributes know no directory descriptors
        path = b"/proc/self/fd/%d/%s" % (directory, name)
        for key, value in node.xattrs.items():
            os.setxattr(path, key, value, follow_symlinks=False)
    os.utime(name, ns=(node.mtime, node.mtime), dir_fd=directory, follow_symlinks=False)

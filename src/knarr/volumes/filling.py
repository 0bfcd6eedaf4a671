"""Filling an empty volume with what the image has at its mount point, as Docker does.

Law: the source is an image's tree that does not change meanwhile, but whose content nobody trusts:
entries are opened by name in a directory descriptor, links are never followed, special files are
made, not opened. Owner, mode, times, extended attributes and hard links are kept.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from knarr.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST = 256

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def is_empty(directory: Path) -> bool:
    """Whether nothing is in the directory; ``lost+found`` of a fresh filesystem is nothing."""
    with os.scandir(directory) as entries:
        return all(entry.name == "lost+found" for entry in entries)


def fill(source: int, target: Path) -> None:
    """Copy the directory ``source``, a descriptor, into the empty directory ``target``.

    Raises OSError and ``ResourceExhaustedError``; what was copied until then stays.
    """
    opened = os.open(target, _DIRECTORY)
    try:
        _Copy(opened).directory(source, opened, "")
    finally:
        os.close(opened)


class _Copy:
    def __init__(self, root: int) -> None:
        self._root = root
        self._links: dict[int, str] = {}

    def directory(self, source: int, target: int, path: str) -> None:
        """Everything in ``source``, then its own attributes, so that its times stay."""
        if path.count("/") > _DEEPEST:
            raise ResourceExhaustedError(f"directories below {path[:60]} are nested too deeply")
        with os.scandir(source) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._directory(source, target, name, path)
            elif not self._link(target, name, f"{path}{name}", status):
                self._other(source, target, name, status)
        _attributes(source, target)

    def _directory(self, source: int, target: int, name: str, path: str) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        inner = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            made = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(inner, made, f"{path}{name}/")
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _link(self, target: int, name: str, path: str, status: os.stat_result) -> bool:
        """Make it another name of a file that was copied before; False if there is none."""
        if status.st_nlink == 1:
            return False
        known = self._links.setdefault(status.st_ino, path)
        if known == path:
            return False
        os.link(known, name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
        return True

    def _other(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self._file(source, target, name)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, target: int, name: str) -> None:
        read = os.open(name, _READ, dir_fd=source)
        written = os.open(name, _CREATE, 0o600, dir_fd=target)
        with os.fdopen(read, "rb") as reader, os.fdopen(written, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1024 * 1024)
            writer.flush()
            _attributes(reader.fileno(), writer.fileno())


def _attributes(source: int, target: int) -> None:
    """Owner, mode, extended attributes and times of an open file."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "security.selinux")):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

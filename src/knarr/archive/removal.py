"""Removing a file or a directory with all below it, in a place that nobody trusts."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from .failure import BadArchiveError, shown
from .tree import MAX_DEPTH

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level(NamedTuple):
    fd: int
    device: int
    name: bytes
    names: list[bytes]


def remove_tree(parent: int, name: bytes) -> None:
    """Remove ``name`` of the directory ``parent``; what is not there is a success.

    No symbolic link is followed and no mount point entered. Raises OSError when something cannot
    be removed.
    """
    if _unlink(parent, name):
        return
    levels = [_open(parent, name, os.fstat(parent).st_dev)]
    try:
        while levels:
            level = levels[-1]
            if not level.names:
                above = levels[-2].fd if len(levels) > 1 else parent
                os.rmdir(level.name, dir_fd=above)
                os.close(levels.pop().fd)
                continue
            below = level.names.pop()
            if not _unlink(level.fd, below):
                if len(levels) >= MAX_DEPTH:
                    raise BadArchiveError(f"{shown(name)}: directories are nested too deeply")
                levels.append(_open(level.fd, below, level.device))
    finally:
        for level in levels:
            os.close(level.fd)


def _unlink(parent: int, name: bytes) -> bool:
    """Remove anything but a directory; False when it is one."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


def _open(parent: int, name: bytes, device: int) -> _Level:
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        _check_device(fd, device, name)
        with os.scandir(fd) as entries:
            return _Level(fd, device, name, [os.fsencode(entry.name) for entry in entries])
    except BaseException:
        os.close(fd)
        raise


def _check_device(fd: int, device: int, name: bytes) -> None:
    if os.fstat(fd).st_dev != device:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)

"""Project quotas: a limit for all files below one directory.

A directory is given a project number that what is made in it inherits; the file system counts the
blocks of each project and refuses what goes beyond its limit with EDQUOT. It must be ext4 with the
features ``quota`` and ``project``, or XFS, mounted with ``prjquota``.

Sources: quotactl(2), ioctl_fssetxattr(2) (linux/fs.h), quotactl_fd in the kernel's
Documentation/filesystems/quota.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from ctypes import c_char_p, c_uint
from typing import TYPE_CHECKING

from knarr.sys import _libc

if TYPE_CHECKING:
    from pathlib import Path

_FS_IOC_FSGETXATTR, _FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("=IIIII8x")
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_QUOTACTL_FD = 443
_PROJECTS = 2  # PRJQUOTA
_GET, _SET = (0x800007 << 8) | _PROJECTS, (0x800008 << 8) | _PROJECTS
_LIMITS = struct.Struct("=8QI4x")  # struct if_dqblk
_BLOCK_LIMITS = 1  # QIF_BLIMITS
_BLOCK = 1024
_NOT_HERE = {errno.ENOSYS, errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ESRCH, errno.ENOENT}


def limit(directory: Path, project: int, size: int) -> None:
    """Give the empty ``directory`` a project number, and that a limit of ``size`` bytes.

    Raises ``FileExistsError`` when the project has a limit already, ``NotImplementedError`` where
    the file system has no such quotas, ``OSError`` for anything else.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if _block_limit(descriptor, project):
            raise FileExistsError(errno.EEXIST, "the project has a limit", str(directory))
        _set_block_limit(descriptor, project, max(1, -(-size // _BLOCK)))
        attributes = bytearray(_FSXATTR.size)
        fcntl.ioctl(descriptor, _FS_IOC_FSGETXATTR, attributes)
        flags, extent, count, _, copy = _FSXATTR.unpack(attributes)
        wanted = _FSXATTR.pack(flags | _INHERIT, extent, count, project, copy)
        fcntl.ioctl(descriptor, _FS_IOC_FSSETXATTR, wanted)
    except OSError as error:
        if error.errno in _NOT_HERE:
            raise NotImplementedError(f"{directory}: no project quotas here") from error
        raise
    finally:
        os.close(descriptor)


def lift(directory: Path) -> None:
    """Take the limit of the directory's project away, if it has one; for its removal."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        attributes = bytearray(_FSXATTR.size)
        fcntl.ioctl(descriptor, _FS_IOC_FSGETXATTR, attributes)
        flags, _, _, project, _ = _FSXATTR.unpack(attributes)
        if project and flags & _INHERIT:
            _set_block_limit(descriptor, project, 0)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    finally:
        os.close(descriptor)


def _block_limit(descriptor: int, project: int) -> int:
    """The hard limit of a project in blocks of 1 KiB, 0 for none."""
    found = bytes(_LIMITS.size)
    _quotactl(descriptor, _GET, project, found)
    return int(_LIMITS.unpack(found)[0])


def _set_block_limit(descriptor: int, project: int, blocks: int) -> None:
    wanted = _LIMITS.pack(blocks, blocks, 0, 0, 0, 0, 0, 0, _BLOCK_LIMITS)
    _quotactl(descriptor, _SET, project, wanted)


def _quotactl(descriptor: int, command: int, project: int, data: bytes) -> None:
    """quotactl_fd(2); ``data`` is read or, for a query, written in place."""
    _libc.syscall(
        _QUOTACTL_FD, c_uint(descriptor), c_uint(command), c_uint(project), c_char_p(data)
    )

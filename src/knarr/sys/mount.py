"""The mount system calls: the descriptor-based API of Linux 5.2, mount(2) and umount2(2).

Scope: fsopen(2), fsconfig(2), fsmount(2), move_mount(2), open_tree(2), mount_setattr(2),
mount(2), umount2(2) and what the kernel says about a file system context that failed. Except with
mount(2), a mount is built on a descriptor and becomes visible only with ``move_mount``; closing
the descriptor before that undoes it. The system call numbers are the same on every architecture
that knarr can run on.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from typing import TYPE_CHECKING

from . import _libc

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC

MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10

MS_RDONLY = 0x1
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_FSOPEN = 430
_NR_FSCONFIG = 431
_NR_FSMOUNT = 432
_NR_MOUNT_SETATTR = 442

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6

_FS_IOC_GETFSUUID = 0x80111500  # _IOR(0x15, 0, struct fsuuid2)

_mount = _libc.function(
    "mount",
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_umount2 = _libc.function("umount2", ctypes.c_char_p, ctypes.c_int)


class _MountAttr(ctypes.Structure):
    """``struct mount_attr``."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def fsopen(fstype: str) -> int:
    """A new context for a file system of this type; the caller closes it. ENODEV: unknown type."""
    try:
        return _libc.syscall(
            _NR_FSOPEN, ctypes.c_char_p(fstype.encode()), ctypes.c_uint(_FSOPEN_CLOEXEC)
        )
    except OSError as error:
        raise _libc.annotate(error, None, f"fsopen(2) {fstype}") from None


def fsconfig_set_flag(fd: int, key: str) -> None:
    """Set the option ``key`` that takes no value."""
    _fsconfig(fd, _FSCONFIG_SET_FLAG, key, None, 0)


def fsconfig_set_string(fd: int, key: str, value: str | bytes) -> None:
    """Set the option ``key``; a value may be 255 bytes long (the kernel's limit)."""
    _fsconfig(fd, _FSCONFIG_SET_STRING, key, os.fsencode(value), 0)


def fsconfig_create(fd: int) -> None:
    """Make the superblock from the options that were set."""
    _fsconfig(fd, _FSCONFIG_CMD_CREATE, None, None, 0)


def _fsconfig(fd: int, command: int, key: str | None, value: bytes | None, aux: int) -> None:
    try:
        _libc.syscall(
            _NR_FSCONFIG,
            ctypes.c_int(fd),
            ctypes.c_uint(command),
            ctypes.c_char_p(key.encode() if key is not None else None),
            ctypes.c_char_p(value),
            ctypes.c_int(aux),
        )
    except OSError as error:
        raise _explained(error, fd, f"fsconfig(2) {command=} {key} {value!r}") from None


def fsmount(fd: int, attributes: int = 0) -> int:
    """A detached mount of the created superblock with these ``MOUNT_ATTR_*``; caller closes it."""
    try:
        return _libc.syscall(
            _NR_FSMOUNT,
            ctypes.c_int(fd),
            ctypes.c_uint(_FSMOUNT_CLOEXEC),
            ctypes.c_uint(attributes),
        )
    except OSError as error:
        raise _explained(error, fd, f"fsmount(2) {attributes=:#x}") from None


def move_mount(
    from_fd: int,
    to_path: str | bytes,
    *,
    from_path: str | bytes = "",
    to_fd: int = AT_FDCWD,
    flags: int = MOVE_MOUNT_F_EMPTY_PATH,
) -> None:
    """Attach the mount ``from_fd`` at ``to_path``; without ``to_path`` at ``to_fd`` itself."""
    if not to_path:
        flags |= MOVE_MOUNT_T_EMPTY_PATH
    try:
        _libc.syscall(
            _NR_MOVE_MOUNT,
            ctypes.c_int(from_fd),
            ctypes.c_char_p(os.fsencode(from_path)),
            ctypes.c_int(to_fd),
            ctypes.c_char_p(os.fsencode(to_path)),
            ctypes.c_uint(flags),
        )
    except OSError as error:
        raise _libc.annotate(error, to_path, f"move_mount(2) {flags=:#x}") from None


def open_tree(dir_fd: int, path: str | bytes, flags: int = OPEN_TREE_CLONE) -> int:
    """A descriptor of the mount at ``path``, by default of a detached copy; caller closes it."""
    try:
        return _libc.syscall(
            _NR_OPEN_TREE,
            ctypes.c_int(dir_fd),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.c_uint(flags | OPEN_TREE_CLOEXEC),
        )
    except OSError as error:
        raise _libc.annotate(error, path, f"open_tree(2) {flags=:#x}") from None


def mount_setattr(
    dir_fd: int,
    path: str | bytes,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    flags: int = 0,
) -> None:
    """Change the attributes (``MOUNT_ATTR_*``) and the propagation (``MS_*``) of a mount."""
    attr = _MountAttr(attr_set, attr_clr, propagation, 0)
    if not path:
        flags |= AT_EMPTY_PATH
    try:
        _libc.syscall(
            _NR_MOUNT_SETATTR,
            ctypes.c_int(dir_fd),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.c_uint(flags),
            ctypes.byref(attr),
            ctypes.c_size_t(ctypes.sizeof(attr)),
        )
    except OSError as error:
        note = f"mount_setattr(2) {attr_set=:#x} {attr_clr=:#x} {propagation=:#x}"
        raise _libc.annotate(error, path, note) from None


def mount(source: str, target: str, fstype: str, flags: int, data: str) -> None:
    """Mount ``source`` on ``target`` the old way; ``data`` may have a page, 4095 bytes."""
    try:
        _mount(source.encode(), os.fsencode(target), fstype.encode(), flags, os.fsencode(data))
    except OSError as error:
        raise _libc.annotate(error, target, f"mount(2) {fstype} {flags=:#x} {data}") from None


def umount2(path: str | bytes, flags: int = UMOUNT_NOFOLLOW) -> None:
    """Unmount ``path``. EINVAL: it is not a mount point; EBUSY: it is in use (see MNT_DETACH)."""
    try:
        _umount2(os.fsencode(path), flags)
    except OSError as error:
        raise _libc.annotate(error, path, f"umount2(2) {flags=:#x}") from None


def fs_uuid(fd: int) -> bytes:
    """The UUID of the file system that the open file ``fd`` is on (Linux 6.9).

    ENOTTY: this file system has none, or the kernel is older.
    """
    answer = fcntl.ioctl(fd, _FS_IOC_GETFSUUID, bytes(17))  # struct fsuuid2: length, 16 bytes
    return answer[1 : 1 + answer[0]]


def _explained(error: OSError, fd: int, note: str) -> OSError:
    """``error`` with what the kernel wrote to the log of the context ``fd``."""
    named = _libc.annotate(error, None, note)
    lines = list(_log(fd))
    if lines:
        named.strerror = f"{named.strerror} ({'; '.join(lines)})"
    return named


def _log(fd: int) -> Iterator[str]:
    """The messages of a file system context, oldest first (one per read, "e text")."""
    with contextlib.suppress(OSError):  # ENODATA: no more
        while True:
            line = os.read(fd, 1024).decode(errors="replace").strip()
            yield line.partition(" ")[2]

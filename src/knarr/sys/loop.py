"""Loop devices: a file as a block device.

Scope: LOOP_CTL_GET_FREE and LOOP_CONFIGURE (Linux 5.8), see loop(4). A device
is attached with AUTOCLEAR, so it lives exactly as long as its last opener or mount.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from typing import NamedTuple

LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_MAJOR = 7
_ATTEMPTS = 64  # others take free devices too


class _LoopInfo64(ctypes.Structure):
    """``struct loop_info64``."""

    _fields_ = (
        ("lo_device", ctypes.c_uint64),
        ("lo_inode", ctypes.c_uint64),
        ("lo_rdevice", ctypes.c_uint64),
        ("lo_offset", ctypes.c_uint64),
        ("lo_sizelimit", ctypes.c_uint64),
        ("lo_number", ctypes.c_uint32),
        ("lo_encrypt_type", ctypes.c_uint32),
        ("lo_encrypt_key_size", ctypes.c_uint32),
        ("lo_flags", ctypes.c_uint32),
        ("lo_file_name", ctypes.c_char * 64),
        ("lo_crypt_name", ctypes.c_char * 64),
        ("lo_encrypt_key", ctypes.c_uint8 * 32),
        ("lo_init", ctypes.c_uint64 * 2),
    )


class _LoopConfig(ctypes.Structure):
    """``struct loop_config``."""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("info", _LoopInfo64),
        ("reserved", ctypes.c_uint64 * 8),
    )


class Attached(NamedTuple):
    """A loop device: its path, and a descriptor that keeps it until something mounts it."""

    path: str
    fd: int


def attach(file_fd: int, *, block_size: int = 512) -> Attached:
    """Attach the file read-only to a free loop device; the caller closes ``fd`` of the result."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            path = f"/dev/loop{number}"
            fd = _open_device(path, number)
            try:
                _configure(fd, file_fd, block_size)
            except OSError as error:
                os.close(fd)
                if error.errno == errno.EBUSY:
                    continue
                raise
            return Attached(path, fd)
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device", "/dev/loop-control")


def _open_device(path: str, number: int) -> int:
    """Open the device node, made here where no devtmpfs makes it (as inside a container)."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        os.mknod(path, 0o60600, os.makedev(_LOOP_MAJOR, number))
        return os.open(path, flags)


def _configure(fd: int, file_fd: int, block_size: int) -> None:
    config = _LoopConfig()
    config.fd = file_fd
    config.block_size = block_size
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR
    fcntl.ioctl(fd, _LOOP_CONFIGURE, config)

"""Bringing data to the disk: syncfs(2) and sync_file_range(2)."""

from __future__ import annotations

import ctypes

from . import _libc

_SYNC_FILE_RANGE_WRITE = 2

_syncfs = _libc.function("syncfs", ctypes.c_int)
_sync_file_range = _libc.function(
    "sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)


def syncfs(fd: int) -> None:
    """Write everything of the file system that the open file ``fd`` is on; returns when it is."""
    try:
        _syncfs(fd)
    except OSError as error:
        raise _libc.annotate(error, None, f"syncfs(2) {fd=}") from None


def start_writing(fd: int, offset: int, length: int) -> None:
    """Have the kernel begin to write this part of the file, and do not wait for it.

    A later fsync(2) has less to do; by itself this makes nothing safe.
    """
    try:
        _sync_file_range(fd, offset, length, _SYNC_FILE_RANGE_WRITE)
    except OSError as error:
        raise _libc.annotate(error, None, f"sync_file_range(2) {fd=} {offset=} {length=}") from None

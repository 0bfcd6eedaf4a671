"""fallocate(2): give the space of a part of a file back."""

from __future__ import annotations

import ctypes

from . import _libc

_KEEP_SIZE = 0x1
_PUNCH_HOLE = 0x2

_fallocate = _libc.function(
    "fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Free the whole pages from ``offset`` on; they read as zeros, the size of the file stays.

    Raises ``OSError`` (EOPNOTSUPP) on a filesystem that cannot.
    """
    try:
        _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, length)
    except OSError as error:
        raise _libc.annotate(
            error, None, f"fallocate(2) PUNCH_HOLE offset={offset} length={length}"
        ) from error

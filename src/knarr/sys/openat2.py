"""openat2(2): open a path that someone else controls.

Scope: the call and its ``RESOLVE_*`` flags. Since Linux 5.6; knarr needs newer kernels anyway, so
there is no fallback.
"""

from __future__ import annotations

import ctypes
import os

from . import _libc

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_NR_OPENAT2 = 437  # the same on every architecture


class _OpenHow(ctypes.Structure):
    """``struct open_how``."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2(
    dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = RESOLVE_IN_ROOT
) -> int:
    """Open ``path`` below the directory ``dir_fd``; the caller closes the result.

    The default resolves as if ``dir_fd`` were the root, as chroot(2) would, without its races.
    ELOOP, EXDEV and EAGAIN (a rename was under way) come as OSError, see the man page.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    raw = os.fsencode(path)
    for _ in range(32):
        try:
            return _libc.syscall(
                _NR_OPENAT2,
                ctypes.c_int(dir_fd),
                ctypes.c_char_p(raw),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
        except BlockingIOError:  # EAGAIN: ".." met a concurrent rename; the man page says retry
            continue
        except OSError as error:
            raise _libc.annotate(error, path, f"openat2(2) {flags=:#x} {resolve=:#x}") from None
    raise BlockingIOError(11, "renames do not stop", path)

"""inotify(7): be told that files of a directory change, without asking again and again.

Law: the descriptor is close-on-exec and non-blocking; the caller closes it. A user has few of them
(128 by default), so many directories are watched with one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from typing import TYPE_CHECKING

from . import _libc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
IN_ONLYDIR = 0x01000000

#: A file was made or renamed, or events were lost: look at the whole directory.
NAMES = IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW

_EVENTS_AT_ONCE = 65536
_EVENT = struct.Struct("=iIII")

_init1 = _libc.function("inotify_init1", ctypes.c_int)
_add_watch = _libc.function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_rm_watch = _libc.function("inotify_rm_watch", ctypes.c_int, ctypes.c_int)


def create() -> int:
    """A descriptor that becomes readable when something happens in what it watches."""
    descriptor: int = _init1(os.O_CLOEXEC | os.O_NONBLOCK)
    return descriptor


def add(descriptor: int, path: Path) -> int:
    """Watch for files in a directory that are written, made or renamed.

    The number of the watch; a directory that is watched already has the same one.
    """
    try:
        watch: int = _add_watch(
            descriptor, os.fsencode(path), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR
        )
    except OSError as error:
        raise _libc.annotate(error, path, "inotify_add_watch(2)") from error
    return watch


def remove(descriptor: int, watch: int) -> None:
    """Watch it no more; it is no error when its directory is gone."""
    with contextlib.suppress(OSError):
        _rm_watch(descriptor, watch)


def events(descriptor: int) -> Iterator[tuple[int, int]]:
    """What has happened: pairs of watch and mask. Lost events have the watch -1."""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, _EVENTS_AT_ONCE):
            position = 0
            while position < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, position)
                yield watch, mask
                position += _EVENT.size + length

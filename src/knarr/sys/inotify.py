"""inotify(7): be told that files of a directory change, without asking again and again.

Law: the descriptor is close-on-exec and non-blocking; the caller closes it. Events are only a
reason to look again: their content is dropped here, because the queue may overflow.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from typing import TYPE_CHECKING

from . import _libc

if TYPE_CHECKING:
    from pathlib import Path

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
IN_ONLYDIR = 0x01000000

_EVENTS_AT_ONCE = 65536
_EVENT = struct.Struct("=iIII")

_init1 = _libc.function("inotify_init1", ctypes.c_int)
_add_watch = _libc.function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def watch_directory(path: Path) -> int:
    """A descriptor that becomes readable when a file in ``path`` is written, made or renamed."""
    descriptor: int = _init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _add_watch(descriptor, os.fsencode(path), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)
    except OSError as error:
        os.close(descriptor)
        raise _libc.annotate(error, path, "inotify_add_watch(2)") from error
    return descriptor


def drain(descriptor: int) -> bool:
    """Take away all events that wait; whether a file may have been made or renamed."""
    names = False
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, _EVENTS_AT_ONCE):
            position = 0
            while position < len(data) and not names:
                _, mask, _, length = _EVENT.unpack_from(data, position)
                names = bool(mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW))
                position += _EVENT.size + length
    return names

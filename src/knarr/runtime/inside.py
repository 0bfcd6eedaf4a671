"""Opening and making things inside the root filesystem, that an image controls.

Law: every path is resolved by openat2(2) as if the new root were ``/`` already, without following
links of procfs, so that no symbolic link of an image or volume leads out of it. What is missing is
made relative to a descriptor of its parent, never by path. Pure: these are calls, not actions.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import struct
from typing import TYPE_CHECKING

from knarr.runtime.table import RETRY, Call, Shared, Slot, call

if TYPE_CHECKING:
    from knarr.runtime.table import Word

ROOT = Shared(0)  # O_PATH descriptor of the mount that will be the root

O_PATH = os.O_PATH
DIRECTORY = O_PATH | os.O_DIRECTORY

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_IN_ROOT = 0x10


def relative(path: str) -> str:
    """``path`` without dots and leading slashes; "." for the root itself."""
    return posixpath.normpath("/" + path).lstrip("/") or "."


def opened(
    path: str,
    flags: int,
    store: Slot | Shared | Word,
    *,
    root: Slot | Shared | int = ROOT,
    symlinks: bool = True,
    allow: tuple[int, ...] = (),
) -> Call:
    """Open ``path`` below ``root``. EAGAIN, which a mount elsewhere can cause, is tried again."""
    resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS
    if not symlinks:
        resolve |= _RESOLVE_NO_SYMLINKS
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    return call(
        "openat2", root, relative(path), how, len(how),
        store=store, allow=allow, flags=RETRY,
    )  # fmt: skip


def directory(
    path: str, store: Slot, *, root: Shared | int = ROOT, symlinks: bool = True, mode: int = 0o755
) -> tuple[Call, ...]:
    """Open the directory ``path``; it and its parents are made when they are missing."""
    wanted = opened(path, DIRECTORY, store, root=root, symlinks=symlinks)
    missing = (*_parents(path, root, mode), wanted)
    return (wanted._replace(allow=(errno.ENOENT,)).otherwise(*missing),)


def file(path: str, store: Slot) -> tuple[Call, ...]:
    """Open whatever is at ``path``; an empty file is made when nothing is there."""
    parent, name = posixpath.split(relative(path))
    holder = Slot(f"parent of {path}")
    missing = (
        *directory(parent or ".", holder),
        call("mknodat", holder, name, stat.S_IFREG | 0o644, 0, allow=(errno.EEXIST,)),
        opened(path, O_PATH, store),
    )
    return (opened(path, O_PATH, store, allow=(errno.ENOENT,)).otherwise(*missing),)


def _parents(path: str, root: Shared | int, mode: int) -> list[Call]:
    """Make ``path`` one component after the other; one that is there is opened and kept."""
    calls: list[Call] = []
    holder: Slot | Shared | int = root
    walked = ""
    names = relative(path).split("/")
    for depth, name in enumerate(names, 1):
        calls.append(call("mkdirat", holder, name, mode, allow=(errno.EEXIST,)))
        walked = f"{walked}/{name}"
        if depth < len(names):
            holder = Slot(f"directory {walked}")
            calls.append(opened(walked, DIRECTORY, holder, root=root))
    return calls

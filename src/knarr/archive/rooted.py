"""Making directories and files in a root that nobody trusts."""

from __future__ import annotations

import contextlib
import os
import stat

from knarr.sys.openat2 import RESOLVE_IN_ROOT, openat2

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY = _FOLDER | os.O_NOFOLLOW
_CREATE = os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o755


def is_directory(fd: int) -> bool:
    """Whether an open file is a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def make_directories(root: int, path: bytes, *, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open the directory ``path`` of ``root``, made with its parents where it is missing.

    Links are followed inside the root (or as ``resolve`` says); the caller closes the result.
    """
    current = openat2(root, b".", _FOLDER, resolve=resolve)
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    for end, name in enumerate(parts, 1):
        try:
            below = _entered(root, b"/".join(parts[:end]), current, name, resolve)
        finally:
            os.close(current)
        current = below
    return current


def make(root: int, path: bytes, *, directory: bool) -> int:
    """Open what is at ``path``, with O_PATH; a directory or an empty file where nothing is."""
    if directory:
        return make_directories(root, path)
    folder, _, name = path.rstrip(b"/").rpartition(b"/")
    parent = make_directories(root, folder)
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, _CREATE, 0o644, dir_fd=parent))
    finally:
        os.close(parent)
    return openat2(root, path.lstrip(b"/"), os.O_PATH)


def _entered(root: int, path: bytes, parent: int, name: bytes, resolve: int) -> int:
    try:
        return openat2(root, path, _FOLDER, resolve=resolve)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, _MODE, dir_fd=parent)
            made = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                os.fchmod(made, _MODE)
            finally:
                os.close(made)
    return openat2(root, path, _FOLDER, resolve=resolve)

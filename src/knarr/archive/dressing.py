"""Giving a file that was made the attributes of its entry, and its data."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from . import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entry import Entry, Extent


def dress(file: int | str, entry: Entry, owner: tuple[int, int] | None) -> None:
    """Owner (None: as it is), mode and attributes of an open file.

    A file that must not be opened is given by the magic link of an O_PATH descriptor. Owner before
    mode and capabilities: chown(2) takes those away.
    """
    if owner is not None:
        os.chown(file, *owner)
    os.chmod(file, entry.mode)  # noqa: PTH101 - mostly a descriptor
    for name, value in entry.xattrs.items():
        _set_xattr(file, name, value)


def _set_xattr(file: int | str, name: bytes, value: bytes) -> None:
    """Set an attribute; one that the file system or the caller cannot have is left out."""
    if not facts.travels(os.fsdecode(name)):
        return
    try:
        os.setxattr(file, name, value)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
            raise


def fill(fd: int, data: Iterator[bytes], entry: Entry) -> None:
    """Write the data of an entry, those of a sparse one where they belong."""
    if entry.extents is None:
        for piece in data:
            _write_all(fd, piece)
        return
    _fill_runs(fd, data, entry.extents)
    os.ftruncate(fd, entry.size)


def _fill_runs(fd: int, data: Iterator[bytes], extents: tuple[Extent, ...]) -> None:
    runs = iter(extents)
    left = 0
    for piece in data:
        view = memoryview(piece)
        while view:
            if not left:
                run = next(runs)
                os.lseek(fd, run.start, os.SEEK_SET)
                left = run.length
            part = view[:left]
            _write_all(fd, part)
            left -= len(part)
            view = view[len(part) :]


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

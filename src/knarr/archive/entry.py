"""An entry of a tar archive, as a value."""

from __future__ import annotations

import stat
from typing import NamedTuple

HARDLINK = 0
"""The ``type`` of an entry that is another name of an earlier one; not a file type of stat(2)."""

NO_XATTRS: dict[bytes, bytes] = {}


class Extent(NamedTuple):
    """A run of data of a sparse file: where it lies in the file and where in the archive."""

    start: int
    offset: int
    length: int


class Entry(NamedTuple):
    """One file of an archive.

    ``name`` and ``link`` are bytes exactly as the archive has them. ``type`` is a file type of
    stat(2) (``S_IFREG``...) or ``HARDLINK``; ``mode`` the permission bits with set-id and sticky;
    ``mtime`` nanoseconds since 1970. ``size`` is the length of the file, ``offset`` where its
    data begin in the archive (a multiple of 512). ``extents`` is None for a file whose data lie in
    one piece; a sparse file has its runs there, in order, and everything else is a hole.
    """

    name: bytes
    type: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    rdev: int
    xattrs: dict[bytes, bytes]
    offset: int
    extents: tuple[Extent, ...] | None = None

    @property
    def is_dir(self) -> bool:
        """Whether this is a directory."""
        return self.type == stat.S_IFDIR

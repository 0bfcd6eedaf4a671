"""Reading a layer's tar: into a file, into its digest, and into its tree, in one pass."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from knarr.sys.fallocate import punch_hole

from .intake import Intake
from .tarstream import TarStream
from .tree import Tree

if TYPE_CHECKING:
    from .entry import Entry


class ReadLayer(NamedTuple):
    """A tar that was read to its end, with its SHA-256 and its length in bytes."""

    tree: Tree
    digest: bytes
    size: int


def read(stream: BinaryIO, fd: int, offset: int = 0, *, tree: Tree | None = None) -> ReadLayer:
    """Read the uncompressed tar ``stream`` and write it to ``fd`` from ``offset`` on.

    The entries are added to ``tree`` if there is one, else to an empty tree. Raises BadArchiveError
    for what is not a tar that can be a layer, OSError when writing fails; what was written by then
    stays.
    """
    intake = Intake(stream, fd, offset)
    tree = tree or Tree()
    try:
        entries = TarStream(intake, holes=True)
        entry: Entry
        for entry in entries:
            tree.add(entry)
        entries.drain()
        digest, size = intake.finish()
    finally:
        intake.abandon()
    with contextlib.suppress(OSError):  # a file system without holes keeps the zeros
        for start, length in entries.holes:
            punch_hole(fd, offset + start, length)
    tree.finish()
    return ReadLayer(tree, digest, size)

"""Layers unpacked into directories, for kernels without a usable EROFS.

A layer is ``layer.tar`` (the exact stream), ``layer.info`` (the header that a layer file has) and
``tree/`` (the files, in the form of overlayfs).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from knarr.archive import layer, unpack
from knarr.archive.erofs import header
from knarr.archive.erofs.header import LayerHeader
from knarr.archive.failure import BadArchiveError
from knarr.content.failure import translated
from knarr.errors import DataLossError
from knarr.oci.digest import DiffID
from knarr.sys.writeback import syncfs

from .failure import mismatch, missing
from .protocols import LayerInfo
from .usage import allocated
from .window import window

if TYPE_CHECKING:
    from pathlib import Path

    from .shelf import Shelf

_INFO_SIZE = len(LayerHeader(bytes(32), 0, 0, 0).pack())


class DirectoryStore:
    """The layer store of the backend ``directory``; see ``LayerStore``."""

    backend = "directory"

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._known: dict[DiffID, tuple[int, tuple[bytes, ...]]] = {}

    def ingest(self, stream: BinaryIO, *, expected: DiffID | None) -> LayerInfo:
        """See ``LayerStore``."""
        if expected is not None and (there := self.find(expected)) is not None:
            return there
        return self._shelf.take(lambda staged: _write(staged, stream, expected))

    def find(self, diff_id: DiffID) -> LayerInfo | None:
        """See ``LayerStore``."""
        found = self._info(diff_id)
        return None if found is None else LayerInfo(diff_id, found[0])

    def open_tar(self, diff_id: DiffID) -> BinaryIO:
        """See ``LayerStore``."""
        size, _ = self._must(diff_id)
        return window(os.open(self._shelf.path(diff_id) / "layer.tar", os.O_RDONLY), 0, size)

    def remove(self, diff_id: DiffID) -> None:
        """See ``LayerStore``."""
        with translated(f"cannot remove layer {diff_id}"):
            self._known.pop(diff_id, None)
            self._shelf.remove(diff_id)

    def mounted(self, diff_id: DiffID) -> Path:
        """See ``LayerStore``."""
        self._must(diff_id)
        return self._shelf.path(diff_id) / "tree"

    def implied(self, diff_id: DiffID) -> tuple[bytes, ...]:
        """See ``LayerStore``."""
        return self._must(diff_id)[1]

    def all(self) -> list[DiffID]:
        """See ``LayerStore``."""
        return self._shelf.all()

    def disk_usage(self, diff_id: DiffID) -> int:
        """See ``LayerStore``."""
        self._must(diff_id)
        return allocated(self._shelf.path(diff_id))

    def close(self) -> None:
        """Nothing is mounted."""

    def _info(self, diff_id: DiffID) -> tuple[int, tuple[bytes, ...]] | None:
        """The length of the tar and the implied directories."""
        found = self._known.get(diff_id)
        if found is not None:
            return found
        try:
            fd = os.open(self._shelf.path(diff_id) / "layer.info", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            head = header.read(fd)
            found = head.tar_size, header.read_implied(fd, head)
        except BadArchiveError as error:
            raise DataLossError(f"layer {diff_id} is damaged: {error}") from error
        finally:
            os.close(fd)
        self._known[diff_id] = found
        return found

    def _must(self, diff_id: DiffID) -> tuple[int, tuple[bytes, ...]]:
        found = self._info(diff_id)
        if found is None:
            raise missing(diff_id)
        return found


def _write(staged: Path, stream: BinaryIO, expected: DiffID | None) -> LayerInfo:
    """Make the layer's directory, complete and on disk."""
    staged.mkdir(mode=0o700)
    tar = os.open(staged / "layer.tar", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        read = layer.read(stream, tar)
        diff_id = DiffID(f"sha256:{read.digest.hex()}")
        if expected is not None and diff_id != expected:
            raise mismatch(expected, diff_id)
        tree = staged / "tree"
        tree.mkdir(mode=0o700)
        root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpack.unpack(read.tree, root, tar)
        finally:
            os.close(root)
        implied = header.pack_implied(read.tree.implied())
        head = LayerHeader(read.digest, read.size, _INFO_SIZE if implied else 0, len(implied))
        (staged / "layer.info").write_bytes(head.pack() + implied)
        syncfs(tar)
    finally:
        os.close(tar)
    return LayerInfo(diff_id, read.size)

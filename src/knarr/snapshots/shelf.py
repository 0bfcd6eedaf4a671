"""The directories of a layer store, and how something gets into them at one stroke.

Law: what stands under ``layers/sha256`` is complete. It was staged in ``layers/ingest`` under a
name of its own, brought to the disk and renamed; so after a crash at any moment a layer is there
or not, and ``recover`` takes away what was staged.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from typing import TYPE_CHECKING

from knarr.content.failure import translated
from knarr.oci.digest import DiffID, hexdigest
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .protocols import LayerInfo
    from .trash import Trash

_HEX = re.compile(r"([0-9a-f]{64})(\.erofs)?")


class Shelf:
    """``<data-root>/layers`` for one kind of layer; ``suffix`` is ``.erofs`` or nothing."""

    def __init__(self, data_root: Path, trash: Trash, suffix: str) -> None:
        self._layers = data_root / "layers" / "sha256"
        self._ingest = data_root / "layers" / "ingest"
        self._trash = trash
        self._suffix = suffix
        for path in (self._layers, self._ingest):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, diff_id: DiffID) -> Path:
        """Where the layer is or would be."""
        return self._layers / (hexdigest(diff_id) + self._suffix)

    def take(self, write: Callable[[Path], LayerInfo]) -> LayerInfo:
        """Have ``write`` make a layer at a new path, complete and on disk, and put it into place.

        One that is there already wins: both are the same. When it fails nothing is left.
        """
        staged = self._ingest / uuid.uuid4().hex
        with translated("cannot store the layer"):
            try:
                info = write(staged)
                faults.point("load.layer-staged")
                self._commit(staged, self.path(info.diff_id))
            except BaseException:
                if self._trash.put(staged):
                    self._trash.empty()  # now: the disk may be full
                raise
        faults.point("load.layer-renamed")
        return info

    def _commit(self, staged: Path, final: Path) -> None:
        if final.exists():
            self._discard(staged)
            return
        try:
            staged.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self._discard(staged)  # another thread put the same directory there
        sync_directory(self._layers)

    def _discard(self, staged: Path) -> None:
        if self._trash.put(staged):
            self._trash.empty_soon()

    def remove(self, diff_id: DiffID) -> None:
        """Take the layer away, with what was made for it; one that is not there is a success."""
        self._trash.put(self._layers.parent / "implied" / hexdigest(diff_id))
        if self._trash.put(self.path(diff_id)):
            sync_directory(self._layers)
        self._trash.empty_soon()

    def all(self) -> list[DiffID]:
        """The layers that are there, sorted."""
        found = []
        for entry in os.scandir(self._layers):
            match = _HEX.fullmatch(entry.name)
            if match is not None and (match[2] or "") == self._suffix:
                found.append(DiffID(f"sha256:{match[1]}"))
        return sorted(found)

    def recover(self) -> None:
        """Take away what earlier engines had staged; call it before anything is staged."""
        for left in self._ingest.iterdir():
            self._trash.put(left)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

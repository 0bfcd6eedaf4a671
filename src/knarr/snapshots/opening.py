"""Opening the stores of a data root: which back end this kernel can do is found by doing it."""

from __future__ import annotations

import io
import logging
import os
import stat
import uuid
from typing import TYPE_CHECKING

from knarr.archive import layer
from knarr.archive.entry import NO_XATTRS, Entry
from knarr.archive.erofs import header, image
from knarr.archive.tarwriter import TarWriter
from knarr.errors import InvalidArgumentError, UnavailableError

from . import erofs_store
from .directory_store import DirectoryStore
from .erofs_store import ErofsStore
from .mountpoints import MountPoints
from .overlay import OverlaySnapshotter
from .shelf import Shelf
from .trash import Trash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .protocols import LayerStore, Snapshotter

BACKENDS = ("erofs-file", "erofs-loop", "directory")
"""From the best to the one that always works."""

_MOUNTS = {"erofs-file": erofs_store.mount_file, "erofs-loop": erofs_store.mount_loop}
_PROBE = b"knarr can mount this\n"
_log = logging.getLogger(__name__)


def open_stores(
    data_root: Path, exec_root: Path, *, backend: str | None = None, trash: Trash | None = None
) -> tuple[LayerStore, Snapshotter]:
    """The layers and the snapshots of ``data_root``, with mount points below ``exec_root``.

    Without ``backend`` the best one that this kernel really mounts is taken. What earlier engines
    left half-made is taken away; layers that another back end had stored are taken over, so call
    it once for a data root. ``trash`` is that of the data root, if others put things there too:
    two of them would delete the same things side by side. Raises UnavailableError when the wanted
    back end does not work.
    """
    trash = trash or Trash(data_root)
    files = Shelf(data_root, trash, ".erofs")
    directories = Shelf(data_root, trash, "")
    files.recover()
    chosen = _choose(data_root, backend)
    points = MountPoints(exec_root)
    store: LayerStore
    other: LayerStore
    if chosen == "directory":
        store = DirectoryStore(directories)
        other = ErofsStore("erofs-file", files, points, erofs_store.mount_file)
    else:
        store = ErofsStore(chosen, files, points, _MOUNTS[chosen])
        other = DirectoryStore(directories)
    _take_over(store, other)
    snapshots = OverlaySnapshotter(data_root, exec_root, store, trash)
    snapshots.recover()
    trash.empty_soon()
    return store, snapshots


def _choose(data_root: Path, wanted: str | None) -> str:
    if wanted is not None and wanted not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise InvalidArgumentError(f'unknown layer backend "{wanted}"', hint=f"known: {known}")
    if wanted == "directory":
        return wanted
    probe = _probe_file(data_root / "layers" / "ingest")
    try:
        for name in [wanted] if wanted else _MOUNTS:
            reason = _failure(_MOUNTS[name], probe)
            if reason is None:
                return name
            _log.info("layers: %s does not work here: %s", name, reason)
            if wanted:
                raise UnavailableError(f'layer backend "{name}" does not work here: {reason}')
    finally:
        probe.unlink()
    return "directory"


def _probe_file(directory: Path) -> Path:
    """A small layer file."""
    tar = io.BytesIO()
    writer = TarWriter(tar)
    entry = Entry(b"probe", stat.S_IFREG, 0o644, 0, 0, len(_PROBE), 0, b"", 0, NO_XATTRS, 0)
    writer.add(entry, io.BytesIO(_PROBE))
    writer.close()
    tar.seek(0)
    path = directory / uuid.uuid4().hex
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        read = layer.read(tar, fd, header.SIZE)
        image.write(fd, read.tree, tar_size=read.size, digest=read.digest)
    finally:
        os.close(fd)
    return path


def _failure(mount: Callable[[Path], int], probe: Path) -> str | None:
    """Why this way of mounting does not work; None when it does."""
    try:
        tree = mount(probe)
    except OSError as error:
        return error.strerror or str(error)
    try:
        fd = os.open("probe", os.O_RDONLY | os.O_CLOEXEC, dir_fd=tree)
        try:
            return None if os.read(fd, 64) == _PROBE else "a file reads wrong"
        finally:
            os.close(fd)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(tree)


def _take_over(store: LayerStore, other: LayerStore) -> None:
    """Bring the layers of another back end, used before with this data root, into ``store``."""
    for diff_id in other.all():
        _log.info("layers: converting %s from %s to %s", diff_id, other.backend, store.backend)
        with other.open_tar(diff_id) as tar:
            store.ingest(tar, expected=diff_id)
        other.remove(diff_id)

"""Layers as EROFS files, mounted from the file itself or through a loop device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from knarr.archive import layer
from knarr.archive.erofs import header, image
from knarr.archive.failure import BadArchiveError
from knarr.content.failure import translated
from knarr.errors import DataLossError
from knarr.oci.digest import DiffID
from knarr.sys import loop, mount

from .failure import mismatch, missing
from .protocols import LayerInfo
from .window import window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .mountpoints import MountPoints
    from .shelf import Shelf

_STRING_LIMIT = 255  # of fsconfig(2)


class _Facts(NamedTuple):
    """What the store remembers of a layer."""

    tar_size: int
    implied: tuple[bytes, ...]


class ErofsStore:
    """The layer store of the backends ``erofs-file`` and ``erofs-loop``; see ``LayerStore``."""

    def __init__(
        self, backend: str, shelf: Shelf, points: MountPoints, mount: Callable[[Path], int]
    ) -> None:
        self.backend = backend
        self._shelf = shelf
        self._points = points
        self._mount = mount
        self._facts: dict[DiffID, _Facts] = {}

    def ingest(self, stream: BinaryIO, *, expected: DiffID | None) -> LayerInfo:
        """See ``LayerStore``."""
        if expected is not None and (there := self.find(expected)) is not None:
            return there
        return self._shelf.take(lambda staged: _write(staged, stream, expected))

    def find(self, diff_id: DiffID) -> LayerInfo | None:
        """See ``LayerStore``."""
        found = self._find(diff_id)
        return None if found is None else LayerInfo(diff_id, found.tar_size)

    def open_tar(self, diff_id: DiffID) -> BinaryIO:
        """See ``LayerStore``."""
        found = self._known(diff_id)
        return window(self._open(diff_id), header.SIZE, found.tar_size)

    def remove(self, diff_id: DiffID) -> None:
        """See ``LayerStore``."""
        with translated(f"cannot remove layer {diff_id}"):
            self._facts.pop(diff_id, None)
            self._points.release(diff_id)
            self._shelf.remove(diff_id)

    def mounted(self, diff_id: DiffID) -> Path:
        """See ``LayerStore``."""
        self._known(diff_id)
        file = self._shelf.path(diff_id)
        with translated(f"cannot mount layer {diff_id}"):
            return self._points.ensure(diff_id, lambda: self._mount(file))

    def implied(self, diff_id: DiffID) -> tuple[bytes, ...]:
        """See ``LayerStore``."""
        return self._known(diff_id).implied

    def all(self) -> list[DiffID]:
        """See ``LayerStore``."""
        return self._shelf.all()

    def disk_usage(self, diff_id: DiffID) -> int:
        """See ``LayerStore``."""
        try:
            return self._shelf.path(diff_id).stat().st_blocks * 512
        except FileNotFoundError:
            raise missing(diff_id) from None

    def close(self) -> None:
        """See ``LayerStore``."""
        self._points.close()

    def _find(self, diff_id: DiffID) -> _Facts | None:
        found = self._facts.get(diff_id)
        if found is not None:
            return found
        try:
            fd = os.open(self._shelf.path(diff_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            head = header.read(fd)
            found = _Facts(head.tar_size, header.read_implied(fd, head))
        except BadArchiveError as error:
            raise DataLossError(f"layer {diff_id} is damaged: {error}") from error
        finally:
            os.close(fd)
        self._facts[diff_id] = found
        return found

    def _known(self, diff_id: DiffID) -> _Facts:
        found = self._find(diff_id)
        if found is None:
            raise missing(diff_id)
        return found

    def _open(self, diff_id: DiffID) -> int:
        try:
            return os.open(self._shelf.path(diff_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise missing(diff_id) from None


def _write(staged: Path, stream: BinaryIO, expected: DiffID | None) -> LayerInfo:
    """Make the layer file, complete and on disk."""
    fd = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        read = layer.read(stream, fd, header.SIZE)
        diff_id = DiffID(f"sha256:{read.digest.hex()}")
        if expected is not None and diff_id != expected:
            raise mismatch(expected, diff_id)
        image.write(fd, read.tree, tar_size=read.size, digest=read.digest)
        os.fsync(fd)
    finally:
        os.close(fd)
    return LayerInfo(diff_id, read.size)


def mount_file(file: Path) -> int:
    """A detached mount of a layer file as it is (Linux 6.12); the caller closes it."""
    fd = _open_ahead(file)
    try:
        source = os.fspath(file)
        if len(os.fsencode(source)) > _STRING_LIMIT:
            source = f"/proc/self/fd/{fd}"
        return _mount(source)
    finally:
        os.close(fd)


def mount_loop(file: Path) -> int:
    """The same through a loop device, which lives as long as the mount."""
    fd = _open_ahead(file)
    try:
        device = loop.attach(fd)
    finally:
        os.close(fd)
    try:
        return _mount(device.path)
    finally:
        os.close(device.fd)


def _open_ahead(file: Path) -> int:
    """Open a layer file, and have the kernel read its inodes and directories meanwhile."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end_of_tar = header.SIZE + header.read(fd).tar_size
        os.posix_fadvise(fd, end_of_tar, 0, os.POSIX_FADV_WILLNEED)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _mount(source: str) -> int:
    """Read-only, and nothing else: set-id programs and devices of images must work."""
    context = mount.fsopen("erofs")
    try:
        mount.fsconfig_set_string(context, "source", source)
        mount.fsconfig_set_flag(context, "ro")
        mount.fsconfig_create(context)
        return mount.fsmount(context, mount.MOUNT_ATTR_RDONLY)
    finally:
        os.close(context)

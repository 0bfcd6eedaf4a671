"""Snapshots as overlays: an upper directory for each container above the shared layers."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING, BinaryIO

from knarr.archive import diff
from knarr.content.failure import translated
from knarr.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from knarr.mount import Mount
from knarr.sys import faults, mount, projectquota

from . import stack
from .implied import ImpliedDirectories, copy_attributes
from .usage import apparent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from knarr.oci.digest import DiffID

    from .protocols import LayerStore
    from .trash import Trash

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=nofollow")
"""What a layer means must not depend on the options that this kernel was built with.

Without ``metacopy`` and ``redirect_dir`` the upper directory holds whole files and directories,
so it can become a layer; an image cannot use them either to read what it may not.
"""


_PROJECTS = range(1 << 20, 1 << 31)
"""Numbers of projects that are taken for snapshots; people who number by hand begin at 1."""


class OverlaySnapshotter:
    """The snapshotter on overlayfs; see ``Snapshotter``."""

    def __init__(self, data_root: Path, exec_root: Path, store: LayerStore, trash: Trash) -> None:
        self._root = data_root / "snapshots"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._empty = exec_root / "layers" / "empty"
        self._store = store
        self._trash = trash
        self._implied = ImpliedDirectories(data_root, store, trash)
        # Layers that are file systems of their own would show in the device numbers of their files,
        # and "tar --one-file-system" would leave them out; xino hides it.
        self._options = (*_OPTIONS, "xino=off" if store.backend == "directory" else "xino=on")

    def prepare(
        self, key: str, layers: Sequence[DiffID], *, size: int | None = None
    ) -> tuple[Mount, ...]:
        """See ``Snapshotter``."""
        path = self._path(key)
        with translated(f"cannot prepare snapshot {key}"):
            lower = self._lowers(layers)
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                raise AlreadyExistsError(f'snapshot "{key}" already exists') from None
            try:
                if size is not None:
                    _limit(path, size)
                (path / "work").mkdir(mode=0o700)
                upper = path / "upper"
                upper.mkdir(mode=0o755)
                self._dress_root(upper, layers)
            except BaseException:
                self.remove(key)
                raise
        faults.point("snapshot.prepared")
        return self._overlay(lower, path)

    def mounts(
        self, key: str, layers: Sequence[DiffID], *, volatile: bool = False
    ) -> tuple[Mount, ...]:
        """See ``Snapshotter``."""
        path = self._existing(key)
        with translated(f"cannot mount snapshot {key}"):
            lower = self._lowers(layers)
            mark = path / "work/work/incompat"
            if mark.exists():  # left by an earlier volatile mount; the kernel would refuse
                shutil.rmtree(mark)
            return self._overlay(lower, path, *(("volatile",) if volatile else ()))

    def planned(
        self, key: str, layers: Sequence[DiffID], *, volatile: bool = False
    ) -> tuple[Mount, ...]:
        """See ``Snapshotter``."""
        with translated("cannot mount layers"):
            options = ("volatile",) if volatile else ()
            return self._overlay(self._lowers(layers), self._path(key), *options)

    def view(self, layers: Sequence[DiffID]) -> tuple[Mount, ...]:
        """See ``Snapshotter``."""
        with translated("cannot mount layers"):
            lower = self._lowers(layers)
            if (root := self._implied.root_for_view(layers)) is not None:
                lower.insert(0, root)
            if len(lower) == 1:  # an overlay without upper needs two, and hides whiteouts
                lower.append(self._nothing())
            return (Mount("overlay", "overlay", options=self._options, lower=_paths(lower)),)

    def upper(self, key: str) -> Path:
        """See ``Snapshotter``."""
        return self._existing(key) / "upper"

    def open_upper(self, key: str) -> int:
        """See ``Snapshotter``."""
        with translated(f"cannot read snapshot {key}"):
            return _sealed(self._existing(key) / "upper")

    def diff(self, key: str, layers: Sequence[DiffID], out: BinaryIO) -> None:
        """See ``Snapshotter``."""
        upper = self.upper(key)
        lower = self._lowers(layers)

        def hides(path: bytes) -> bool:
            found = stack.find(lower, path)
            return found is not None and found.is_dir

        with translated(f"cannot read snapshot {key}"):
            fd = _sealed(upper)
            try:
                diff.write(fd, out, hides=hides, with_root=self._root_changed(upper, layers))
            finally:
                os.close(fd)

    def usage(self, key: str) -> int:
        """See ``Snapshotter``."""
        return apparent(self._existing(key) / "upper")

    def remove(self, key: str) -> None:
        """See ``Snapshotter``."""
        with translated(f"cannot remove snapshot {key}"):
            projectquota.lift(self._path(key))
            if self._trash.put(self._path(key)):
                self._trash.empty_soon()

    def all(self) -> list[str]:
        """See ``Snapshotter``."""
        return sorted(entry.name for entry in self._root.iterdir())

    def recover(self) -> None:
        """Take away what earlier engines did not complete."""
        self._implied.recover()

    def _overlay(self, lower: list[Path], snapshot: Path, *options: str) -> tuple[Mount, ...]:
        value = Mount(
            "overlay",
            "overlay",
            options=(*self._options, *options),
            lower=_paths(lower),
            upper=os.fspath(snapshot / "upper"),
            work=os.fspath(snapshot / "work"),
        )
        return (value,)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise InvalidArgumentError(f'invalid snapshot key "{key}"')
        return self._root / key

    def _existing(self, key: str) -> Path:
        path = self._path(key)
        if not (path / "upper").is_dir():
            raise NotFoundError(f'snapshot "{key}" does not exist')
        return path

    def _lowers(self, layers: Sequence[DiffID]) -> list[Path]:
        """The lower directories, uppermost first; never none."""
        return self._implied.lowers(layers) or [self._nothing()]

    def _nothing(self) -> Path:
        self._empty.mkdir(mode=0o755, parents=True, exist_ok=True)
        return self._empty

    def _dress_root(self, upper: Path, layers: Sequence[DiffID]) -> None:
        """The root of an overlay has the attributes of its uppermost directory."""
        source = self._implied.root_of(layers)
        if source is None:
            upper.chmod(0o755)
            return
        copy_attributes(source.stat(), stack.read_xattrs(os.fspath(source)), upper)

    def _root_changed(self, upper: Path, layers: Sequence[DiffID]) -> bool:
        """Whether the container changed the owner or the mode of its root."""
        source = self._implied.root_of(layers)
        now = upper.stat()
        if source is None:
            return (now.st_uid, now.st_gid, now.st_mode & 0o7777) != (0, 0, 0o755)
        then = source.stat()
        return (now.st_uid, now.st_gid, now.st_mode) != (then.st_uid, then.st_gid, then.st_mode)


def _limit(path: Path, size: int) -> None:
    """Let a new snapshot have no more than ``size`` bytes."""
    while True:
        try:
            projectquota.limit(path, secrets.choice(_PROJECTS), size)
        except FileExistsError:
            continue  # the number is in use
        except NotImplementedError as error:
            raise InvalidArgumentError(
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
                hint="ext4 with the features quota and project, mounted with prjquota, does too",
            ) from error
        return


def _sealed(directory: Path) -> int:
    """A directory opened through a mount of its own, on which no device can be opened.

    A container that runs may put one in the place of a file at the moment when it is to be read.
    """
    tree = mount.open_tree(mount.AT_FDCWD, os.fspath(directory))
    try:
        attributes = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
        mount.mount_setattr(tree, "", attr_set=attributes | mount.MOUNT_ATTR_NOSUID)
        return os.open(".", _DIRECTORY, dir_fd=tree)
    finally:
        os.close(tree)


def _paths(lower: list[Path]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in lower)

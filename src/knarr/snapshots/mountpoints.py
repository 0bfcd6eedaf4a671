"""Where layers are mounted: ``<exec-root>/layers/<hex>``, each once, for all containers.

The mounts are made in the mount namespace of the host and stay when the engine ends, because
containers go on. ``layers`` itself is a private mount, so that they do not spread to others.

Law: a mount point is used only after it was checked that the right layer is mounted there: by this
engine before (then its device number is known), or by an earlier one (then the UUID of the file
system is compared, which is the beginning of the diff_id). A mount that cannot be recognised is
replaced; containers that use it are not disturbed, overlayfs has its own reference.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.oci.digest import hexdigest
from knarr.sys import mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.oci.digest import DiffID

_PEEK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class MountPoints:
    """The mount points of one engine. All methods may be called from several threads at once."""

    def __init__(self, exec_root: Path) -> None:
        self._root = exec_root / "layers"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._points: dict[DiffID, tuple[Path, int]] = {}
        self._lock = threading.Lock()
        self._private = False

    def ensure(self, diff_id: DiffID, tree: Callable[[], int]) -> Path:
        """The mount point that shows the layer; ``tree`` makes a detached mount of it if needed."""
        known = self._points.get(diff_id)
        if known is not None and _device(known[0]) == known[1]:
            return known[0]
        path = self._root / hexdigest(diff_id)
        with self._lock:
            known = self._points.get(diff_id)
            if known is None or _device(path) != known[1]:
                self._make_private()
                self._attach(path, diff_id, tree)
                self._points[diff_id] = path, path.stat().st_dev
        return path

    def release(self, diff_id: DiffID) -> None:
        """Unmount the layer and remove its mount point.

        Removing the directory also detaches copies of the mount in other mount namespaces.
        """
        path = self._root / hexdigest(diff_id)
        with self._lock:
            self._points.pop(diff_id, None)
            self._detach(path)

    def close(self) -> None:
        """Unmount everything, and the private mount below it."""
        with self._lock:
            self._points.clear()
            for path in self._root.iterdir():
                self._detach(path)
            while mounted_on(self._root):
                mount.umount2(os.fspath(self._root), mount.MNT_DETACH)
            self._private = False

    def _attach(self, path: Path, diff_id: DiffID, tree: Callable[[], int]) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if self._is_mounted(path):
            if _uuid(path) == bytes.fromhex(hexdigest(diff_id))[:16]:
                return
            self._unmount(path)
        made = tree()
        try:
            mount.move_mount(made, os.fspath(path))
        finally:
            os.close(made)

    def _is_mounted(self, path: Path) -> bool:
        return path.stat().st_dev != self._root.stat().st_dev

    def _detach(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._unmount(path)
            path.rmdir()

    def _unmount(self, path: Path) -> None:
        while self._is_mounted(path):
            mount.umount2(os.fspath(path), mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)

    def _make_private(self) -> None:
        """Make ``layers`` a mount of its own without propagation, once."""
        if self._private:
            return
        if not mounted_on(self._root):
            tree = mount.open_tree(mount.AT_FDCWD, os.fspath(self._root))
            try:
                mount.move_mount(tree, os.fspath(self._root))
            finally:
                os.close(tree)
        mount.mount_setattr(mount.AT_FDCWD, os.fspath(self._root), propagation=mount.MS_PRIVATE)
        self._private = True


def mounted_on(path: Path) -> bool:
    """Whether ``path`` is a mount point in this mount namespace, from /proc/self/mountinfo."""
    wanted = os.fsencode(path.resolve())
    with Path("/proc/self/mountinfo").open("rb") as lines:
        return any(_unescaped(line.split(b" ", 5)[4]) == wanted for line in lines)


def _unescaped(field: bytes) -> bytes:
    """A field of mountinfo; blanks and backslashes stand there as octal numbers (proc(5))."""
    for code, char in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        field = field.replace(code, char)
    return field.replace(b"\\134", b"\\")


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except FileNotFoundError:
        return None


def _uuid(path: Path) -> bytes | None:
    """The UUID of what is mounted there; None when it has none or cannot be read."""
    try:
        fd = os.open(path, _PEEK)
    except OSError:
        return None
    try:
        return mount.fs_uuid(fd)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EIO):
            return None
        raise
    finally:
        os.close(fd)

"""The root filesystem of a container that does not run, with its volumes and binds, as one tree.

The tree is put together on a directory of root's own and then copied as a detached mount, which
lives as long as its descriptor; the directory and what is mounted on it go at once. So nothing is
seen in the mount table but for a moment, and no mount namespace is entered.

Law: targets are resolved inside the tree (``RESOLVE_IN_ROOT``), they come from images and
containers. The sources keep their own mounts below them, which are private here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from knarr.archive import rooted
from knarr.archive.links import resolved
from knarr.containers import rootview
from knarr.sys import mount as calls
from knarr.sys.openat2 import openat2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.mount import Mount

_CLONE = calls.OPEN_TREE_CLONE
_NODE = os.O_PATH | os.O_CLOEXEC


class Graft(NamedTuple):
    """Something mounted inside the root: a file or directory of the host, or the image ``view``.

    ``part`` is a path below it, which is mounted instead. ``shallow`` leaves what is mounted below
    a read-only one as it is.
    """

    target: str
    source: str = ""
    view: Mount | None = None
    part: str = ""
    read_only: bool = False
    recursive: bool = True
    shallow: bool = False


def assemble(
    root: Mount, grafts: Sequence[Graft], place: Path, *, writable: bool, locked: bool = False
) -> int:
    """The whole tree as a detached mount; the caller closes it.

    ``place`` is a directory for mount points. A ``writable`` tree changes the writable layer:
    there may be only one at a time, and no process of the container. It makes missing mount points
    first, and so does a tree that cannot be made without. ``locked``: the root, not the grafts,
    is read-only for all that.
    """
    if writable:
        return _assembled(root, grafts, place, writable=True, locked=locked)
    try:
        return _assembled(root, grafts, place, writable=False, locked=True)
    except FileNotFoundError:
        os.close(_assembled(root, grafts, place, writable=True, locked=False))
        return _assembled(root, grafts, place, writable=False, locked=True)


def recover(place: Path) -> None:
    """Take away what an engine that was killed has left on ``place``."""
    if not place.is_dir():
        return
    for point in place.iterdir():
        _clear(os.fspath(point))


def _assembled(
    root: Mount, grafts: Sequence[Graft], place: Path, *, writable: bool, locked: bool
) -> int:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    point = tempfile.mkdtemp(prefix="view-", dir=place)
    try:
        _make_private(point)
        _attach(rootview.writable_overlay(root) if writable else rootview.overlay(root), point)
        top = os.open(point, _NODE | os.O_DIRECTORY)
        try:
            for graft in grafts:
                _graft(top, graft, make=writable)
        finally:
            os.close(top)
        if locked and writable:
            calls.mount_setattr(calls.AT_FDCWD, point, attr_set=calls.MOUNT_ATTR_RDONLY)
        return calls.open_tree(calls.AT_FDCWD, point, _CLONE | calls.AT_RECURSIVE)
    finally:
        _clear(point)


def _make_private(point: str) -> None:
    """Mount the directory on itself, so that what is mounted on it does not spread to others."""
    tree = calls.open_tree(calls.AT_FDCWD, point)
    _attach(tree, point)
    calls.mount_setattr(calls.AT_FDCWD, point, propagation=calls.MS_PRIVATE)


def _attach(tree: int, point: str) -> None:
    try:
        calls.move_mount(tree, point)
    finally:
        os.close(tree)


def _graft(top: int, graft: Graft, *, make: bool) -> None:
    tree = _source(graft)
    try:
        calls.mount_setattr(tree, "", propagation=calls.MS_PRIVATE, flags=calls.AT_RECURSIVE)
        if graft.read_only:
            flags = 0 if graft.shallow else calls.AT_RECURSIVE
            calls.mount_setattr(tree, "", attr_set=calls.MOUNT_ATTR_RDONLY, flags=flags)
        target = _target(top, graft.target, tree, make=make)
        try:
            calls.move_mount(tree, "", to_fd=target)
        finally:
            os.close(target)
    finally:
        os.close(tree)


def _source(graft: Graft) -> int:
    """What is mounted, as a detached mount."""
    flags = _CLONE | calls.AT_EMPTY_PATH | (calls.AT_RECURSIVE if graft.recursive else 0)
    base = rootview.overlay(graft.view) if graft.view is not None else os.open(graft.source, _NODE)
    try:
        if not graft.part:
            return calls.open_tree(base, "", flags)
        part = openat2(base, graft.part, os.O_PATH)
        try:
            return calls.open_tree(part, "", flags)
        finally:
            os.close(part)
    finally:
        os.close(base)


def _target(top: int, path: str, tree: int, *, make: bool) -> int:
    try:
        return openat2(top, path.lstrip("/"), os.O_PATH)
    except FileNotFoundError:
        if not make:
            raise
    real = resolved(top, os.fsencode(path))  # links may lead to what is not there yet
    return rooted.make(top, real, directory=rooted.is_directory(tree))


def _clear(point: str) -> None:
    """Unmount everything on the directory, and remove it."""
    with contextlib.suppress(FileNotFoundError):
        while _unmounted(point):
            pass
        Path(point).rmdir()


def _unmounted(point: str) -> bool:
    try:
        calls.umount2(point, calls.MNT_DETACH | calls.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True

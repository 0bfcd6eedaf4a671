"""Directories that a layer only implies.

A tar may have ``a/b/c`` without ``a`` or ``a/b``. The layer needs these directories, but overlayfs
takes the attributes of a directory from the uppermost layer that has it: the layer's stand-in,
root's with mode 0755, would cover what lower layers say (think of ``/tmp``). The layer is shared
by many stacks, so it cannot hold the right attributes itself.

Solution: right above such a layer the stack gets a small directory with nothing but the implied
directories of that layer, each with the attributes that the stack *below* the layer shows. Layers
above are not touched by it. Nothing is made where nothing below has the directory, as for images
whose layers name their directories, which is nearly all.

It is worse when the stack below has a symbolic link at an implied directory (``lib/x`` in the
layer, ``lib -> usr/lib`` below): the stand-in would cover the link and all behind it. Such a layer
is unpacked again for this stack, with the link in its place, so that ``x`` comes to ``usr/lib``;
this is what unpacking the layers one after the other does. See ``relocated``.

Both are made once per stack, in ``<data-root>/layers/implied/<hex of the layer>/<hex of the
stack>``, and go when the layer goes.

The root of a layer is implied in most images. It needs no such directory: the uppermost directory
of the overlay gets its attributes directly, see ``root_of``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import uuid
from typing import TYPE_CHECKING

from knarr.archive import whiteout
from knarr.oci.digest import hexdigest
from knarr.sys.writeback import syncfs

from . import relocated, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from knarr.oci.digest import DiffID

    from .protocols import LayerStore
    from .stack import Found
    from .trash import Trash

_PRIVATE = os.fsdecode(whiteout.OVERLAY_PRIVATE)


class ImpliedDirectories:
    """The extra directories of all stacks of one data root."""

    def __init__(self, data_root: Path, store: LayerStore, trash: Trash) -> None:
        self._root = data_root / "layers" / "implied"
        self._store = store
        self._trash = trash
        self._none: set[str] = set()
        self._lock = threading.Lock()

    def lowers(self, layers: Sequence[DiffID]) -> list[Path]:
        """The lower directories of an overlay of ``layers`` (lowest first), uppermost first.

        overlayfs refuses a directory that is there twice, and images do have a layer twice (the
        empty one). Only the uppermost counts then: it has, hides and names all that the other
        does.
        """
        layers = list(dict.fromkeys(reversed(layers)))[::-1]
        found: list[Path] = []
        for index, diff_id in enumerate(layers):
            directory = self._store.mounted(diff_id)
            paths = [path for path in self._store.implied(diff_id) if path] if index else []
            if paths:
                found = self._put_right(layers[: index + 1], found, directory, paths) + found
            else:
                found.insert(0, directory)
        return found

    def root_of(self, layers: Sequence[DiffID]) -> Path | None:
        """The directory whose attributes the root of the stack has; None: no layer names it."""
        for diff_id in reversed(layers):
            if b"" not in self._store.implied(diff_id):
                return self._store.mounted(diff_id)
        return None

    def root_for_view(self, layers: Sequence[DiffID]) -> Path | None:
        """A directory to put on top of the stack, for the attributes of its root; None: no need."""
        source = self.root_of(layers)
        if source is None or b"" not in self._store.implied(layers[-1]):
            return None
        final = self._root / hexdigest(layers[-1]) / f"{_chain(layers)}.root"
        with self._lock:
            if not final.is_dir():
                self._make(final, lambda to: _write_root(to, source))
        return final

    def recover(self) -> None:
        """Take away what earlier engines did not complete."""
        for left in self._root.glob("*/.*"):
            self._trash.put(left)

    def _put_right(
        self, layers: Sequence[DiffID], below: list[Path], directory: Path, paths: list[bytes]
    ) -> list[Path]:
        """What stands for the uppermost of ``layers`` in this stack, uppermost first."""
        chain = _chain(layers)
        if chain in self._none:
            return [directory]
        place = self._root / hexdigest(layers[-1])
        attributes, moved = place / chain, place / f"{chain}.relocated"
        with self._lock:
            if attributes.is_dir():
                return [attributes, directory]
            if moved.is_dir():
                return [moved]
            shown = [path for path in paths if _open_to_below(directory, path)]
            if links := relocated.links(below, shown):
                with self._store.open_tar(layers[-1]) as tar:
                    self._make(moved, lambda to: relocated.unpack(tar, below, links, to))
                return [moved]
            if wanted := _wanted(below, directory, shown):
                self._make(attributes, lambda to: _write(to, wanted))
                return [attributes, directory]
            self._none.add(chain)
            return [directory]

    def _make(self, final: Path, write: Callable[[Path], None]) -> None:
        """Have ``write`` make a directory and put it into place when it is on disk."""
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = final.with_name(f".{uuid.uuid4().hex}")
        try:
            write(staged)
            fd = os.open(staged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)
            staged.rename(final)
        except BaseException:
            self._trash.put(staged)
            raise


def _chain(layers: Sequence[DiffID]) -> str:
    """The name of a stack."""
    return hashlib.sha256("\n".join(layers).encode()).hexdigest()


def _write_root(target: Path, source: Path) -> None:
    target.mkdir(mode=0o755)
    copy_attributes(source.stat(), stack.read_xattrs(os.fspath(source)), target)


def _wanted(below: list[Path], directory: Path, paths: list[bytes]) -> list[tuple[bytes, Found]]:
    """The implied directories that the stack below has, with what it says about them.

    Their parents are named too, with what the layer says where it says something.
    """
    wanted: dict[bytes, Found] = {}
    for path in paths:
        found = stack.find(below, path)
        if found is None or not found.is_dir:
            continue
        for parent in _parents(path):
            own = None if parent in wanted else stack.find([directory], parent)
            if own is not None:
                wanted[parent] = own
        wanted[path] = found
    return list(wanted.items())


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts))]


def _open_to_below(directory: Path, path: bytes) -> bool:
    """Whether the layer lets lower layers be seen at the parent of ``path``."""
    for parent in _parents(path):
        found = stack.find([directory], parent)
        if found is None or stack.is_opaque(found.xattrs):
            return False
    return True


def _write(target: Path, wanted: list[tuple[bytes, Found]]) -> None:
    """Make the directories, parents first, and dress them, children first."""
    target.mkdir(mode=0o755)
    for path, _ in wanted:
        (target / os.fsdecode(path)).mkdir(mode=0o700)
    for path, found in reversed(wanted):
        copy_attributes(found.info, found.xattrs, target / os.fsdecode(path))


def copy_attributes(info: os.stat_result, xattrs: dict[str, bytes], target: Path) -> None:
    """Give the directory ``target`` these attributes, those of overlayfs excepted."""
    os.chown(target, info.st_uid, info.st_gid)
    target.chmod(stat.S_IMODE(info.st_mode))
    for name, value in xattrs.items():
        if not name.startswith(_PRIVATE):
            os.setxattr(target, name, value)
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns))

"""A layer unpacked again for one stack, because a link of the stack stands where it has files.

See ``implied`` for why. The result is a directory in the form of overlayfs, to be used instead of
the layer; its tar is read again through the same ``Tree``, with the links already in it.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from knarr.archive import layer, whiteout
from knarr.archive import unpack as unpacking
from knarr.archive.failure import BadArchiveError
from knarr.archive.tree import Node, Tree

from . import stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .stack import Found

_ROUNDS = 40  # links that lead to links; the kernel gives up after as many


def links(below: list[Path], paths: Iterable[bytes]) -> dict[bytes, Found]:
    """Those of the implied directories ``paths`` where the stack below has a symbolic link."""
    found = ((path, stack.find(below, path)) for path in paths)
    return {path: each for path, each in found if each is not None and each.link}


def unpack(tar: BinaryIO, below: list[Path], known: Mapping[bytes, Found], target: Path) -> None:
    """Unpack the layer ``tar`` into the new directory ``target``, with the links ``known``.

    Where following them implies directories that are links again, those are put in as well.
    """
    target.mkdir(mode=0o755)
    scratch = target.with_name(f"{target.name}.tar")
    fd = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        scratch.unlink()
        tree = _resolved(tar, fd, below, dict(known))
        for path in tree.implied():
            node, found = tree.find(path), stack.find(below, path) if path else None
            if node is not None and found is not None and found.is_dir:
                _dress(node, found)
        root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpacking.unpack(tree, root, fd)
        finally:
            os.close(root)
    finally:
        os.close(fd)


def _resolved(tar: BinaryIO, fd: int, below: list[Path], known: dict[bytes, Found]) -> Tree:
    for _ in range(_ROUNDS):
        tar.seek(0)
        tree = Tree()
        for path, found in known.items():
            if _parents_are_directories(tree, path):
                tree.put_link(path, _link(found))
        tree = layer.read(tar, fd, tree=tree).tree
        implied = (path for path in tree.implied() if path and _open_to_below(tree, path))
        fresh = {path: each for path, each in links(below, implied).items() if path not in known}
        if not fresh:
            return tree
        known.update(fresh)
    raise BadArchiveError("too many levels of symbolic links between layers")


def _parents(tree: Tree, path: bytes) -> list[Node | None]:
    parts = path.split(b"/")
    return [tree.find(b"/".join(parts[:end])) for end in range(1, len(parts))]


def _parents_are_directories(tree: Tree, path: bytes) -> bool:
    """Whether ``path`` is not behind a link that is in the tree already."""
    return all(parent is None or parent.children is not None for parent in _parents(tree, path))


def _open_to_below(tree: Tree, path: bytes) -> bool:
    """Whether the layer lets lower layers be seen at the parent of ``path``."""
    return all(parent is not None and not parent.opaque for parent in _parents(tree, path))


def _link(found: Found) -> Node:
    node = Node(found.info.st_mode, mtime=found.info.st_mtime_ns)
    node.uid, node.gid, node.link = found.info.st_uid, found.info.st_gid, found.link
    return node


def _dress(node: Node, found: Found) -> None:
    """Give an implied directory the attributes that the stack below shows."""
    node.mode = stat.S_IFDIR | stat.S_IMODE(found.info.st_mode)
    node.uid, node.gid, node.mtime = found.info.st_uid, found.info.st_gid, found.info.st_mtime_ns
    named = ((os.fsencode(name), value) for name, value in found.xattrs.items())
    private = whiteout.OVERLAY_PRIVATE
    node.xattrs = {name: value for name, value in named if not name.startswith(private)} or None

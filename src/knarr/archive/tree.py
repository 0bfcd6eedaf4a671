"""The tree that the entries of a layer's tar make.

Every back end builds its layer from this tree and not from the tar, so all read a tar alike, and
no path of a tar is ever walked on a real file system.

Reading of names, laws:
- ``./``, leading and doubled slashes mean nothing; ``..`` is resolved in the text, as Docker does,
  and a name that leaves the root is refused.
- A parent that is a symbolic link *of this layer* is followed inside the root. Links of lower
  layers are not known here: an implied directory then replaces the link, as in Docker's overlay2.
- A parent without an entry is made, owned by root with mode 0755 and marked ``implied``.
- A later entry replaces an earlier one of the same name with all below it; a directory over a
  directory only changes its attributes.
- A whiteout hides what is in lower layers, never what is in this one, whichever came first: beside
  a file it says nothing more, and a directory it stands beside is opaque.
- A hard link is another name of an earlier entry of the same layer.
- Names are bytes; ones that no Linux file system holds are refused.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from . import whiteout
from .entry import HARDLINK, NO_XATTRS
from .failure import BadArchiveError, shown

if TYPE_CHECKING:
    from .entry import Entry, Extent

MAX_COMPONENT = 255
MAX_PATH = 4096
MAX_TARGET = 4095
MAX_DEPTH = 1000
MAX_NODES = 4_000_000
MAX_XATTR_VALUE = 65535
MAX_XATTRS = 200_000
_MAX_HOPS = 40

_ACLS = frozenset((b"system.posix_acl_access", b"system.posix_acl_default"))
_NAMESPACES = (b"user.", b"security.", b"trusted.")


class Node:
    """A file of the tree. Two names of the same file share one node.

    ``offset`` and ``extents`` say where its data lie in the tar, see ``Entry``. ``opaque`` and
    ``implied`` are about directories only.
    """

    __slots__ = (
        "children",
        "extents",
        "gid",
        "implied",
        "link",
        "mode",
        "mtime",
        "offset",
        "opaque",
        "rdev",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, mode: int, *, mtime: int = 0, implied: bool = False) -> None:
        self.mode = mode
        self.uid = 0
        self.gid = 0
        self.mtime = mtime
        self.size = 0
        self.rdev = 0
        self.offset = 0
        self.link = b""
        self.extents: tuple[Extent, ...] | None = None
        self.xattrs: dict[bytes, bytes] | None = None
        self.children: dict[bytes, Node] | None = {} if stat.S_ISDIR(mode) else None
        self.opaque = False
        self.implied = implied

    @property
    def is_whiteout(self) -> bool:
        """Whether overlayfs reads this file as a whiteout."""
        return whiteout.is_overlay_whiteout(self.mode, self.rdev)

    def overlay_xattrs(self) -> dict[bytes, bytes]:
        """The attributes with those that make overlayfs read whiteouts and opaqueness."""
        if self.children is None:
            return self.xattrs or NO_XATTRS
        found = dict(self.xattrs) if self.xattrs else {}
        if self.opaque:
            found[whiteout.OPAQUE_XATTR] = whiteout.OPAQUE_VALUE
        if any(child.is_whiteout for child in self.children.values()):
            found[whiteout.ORIGIN_XATTR] = b""
        return found


class Tree:
    """The tree of one layer, built entry by entry."""

    def __init__(self) -> None:
        self.root = Node(stat.S_IFDIR | 0o755, implied=True)
        self._nodes = 1
        self._parents: dict[bytes, Node] = {}

    def add(self, entry: Entry) -> None:
        """Put an entry into the tree. Raises BadArchiveError when it cannot be there."""
        if len(entry.name) > MAX_PATH:
            raise BadArchiveError(f"{shown(entry.name)}: path too long")
        parts = _components(entry.name)
        if not parts:
            self._set_root(entry)
            return
        name = parts.pop()
        parent = self._parent(parts, entry)
        if name.startswith(whiteout.PREFIX) and not (
            parent is self.root and _is_aufs_metadata(name)
        ):
            self._whiteout(parent, name, entry)
        elif entry.type == HARDLINK:
            self._place(parent, name, self._linked(entry), entry)
        else:
            self._place(parent, name, _node(entry), entry)

    def find(self, path: bytes) -> Node | None:
        """The node at ``path``; no links are followed."""
        node: Node | None = self.root
        for part in path.split(b"/") if path else ():
            node = (node.children or {}).get(part) if node is not None else None
        return node

    def put_link(self, path: bytes, link: Node) -> None:
        """Put a symbolic link that comes from below the layer at ``path``, before any entry.

        Its parents are made and implied.
        """
        node = self.root
        *parents, name = path.split(b"/")
        for part in parents:
            children = _children(node)
            node = children.setdefault(part, Node(stat.S_IFDIR | 0o755, implied=True))
        _children(node)[name] = link

    def finish(self) -> None:
        """Take away what is no part of the tree (AUFS's own files); call it after the last add."""
        children = self.root.children or {}
        for name in [name for name in children if _is_aufs_metadata(name)]:
            del children[name]

    def implied(self) -> list[bytes]:
        """The paths of the directories that have no entry of their own, parents first."""
        found = [b""] if self.root.implied else []
        stack = [(b"", self.root)]
        while stack:
            path, directory = stack.pop()
            for name, node in (directory.children or {}).items():
                if node.children is not None:
                    below = path + b"/" + name if path else name
                    stack.append((below, node))
                    if node.implied:
                        found.append(below)
        return sorted(found, key=lambda path: path.split(b"/"))

    def _set_root(self, entry: Entry) -> None:
        if entry.type != stat.S_IFDIR:
            raise BadArchiveError(f"{shown(entry.name)} has no name below the root")
        _adopt(self.root, _node(entry))

    def _parent(self, parts: list[bytes], entry: Entry) -> Node:
        """The directory with these components, made where it is missing."""
        path = b"/".join(parts)
        found = self._parents.get(path)
        if found is None:
            found = self._walk(parts, entry, make=True)
            if found is None:
                raise BadArchiveError(f"{shown(entry.name)}: a parent is not a directory")
            self._parents[path] = found
        return found

    def _walk(self, parts: list[bytes], entry: Entry, *, make: bool) -> Node | None:
        """The directory at the end of ``parts``, links followed inside the root."""
        trail = [self.root]
        pending = parts[::-1]
        hops = 0
        while pending:
            part = pending.pop()
            if part == b"..":  # from the target of a link; above the root is the root
                trail[1:] = trail[1:-1]
                continue
            child = (trail[-1].children or {}).get(part)
            if make and (child is None or child.is_whiteout):
                child = self._make(trail[-1], part, entry)
            if child is None:
                return None
            if child.children is not None:
                trail.append(child)
                _check_depth(len(trail), entry)
            elif stat.S_ISLNK(child.mode):
                hops += 1
                _check_hops(hops, entry)
                if child.link.startswith(b"/"):
                    trail = [self.root]
                pending += [p for p in reversed(child.link.split(b"/")) if p not in (b"", b".")]
            else:
                return None
        return trail[-1]

    def _make(self, directory: Node, part: bytes, entry: Entry) -> Node:
        """The implied directory ``part``; where a whiteout stands, it hides what is below."""
        _check_component(part, entry)
        if part.startswith(whiteout.PREFIX) and not _is_aufs_metadata(part):
            raise BadArchiveError(f"{shown(entry.name)} lies below a whiteout")
        children = _children(directory)
        made = Node(stat.S_IFDIR | 0o755, mtime=entry.mtime, implied=part not in children)
        made.opaque = part in children
        self._count(entry)
        children[part] = made
        return made

    def _place(self, parent: Node, name: bytes, node: Node, entry: Entry) -> None:
        _check_component(name, entry)
        children = _children(parent)
        old = children.get(name)
        if old is None:
            self._count(entry)
        elif old.children is not None and node.children is not None:
            _adopt(old, node)
            return
        elif old.is_whiteout:
            node.opaque = node.children is not None
        elif old.children is not None or stat.S_ISLNK(old.mode):
            self._parents.clear()
        children[name] = node

    def _whiteout(self, parent: Node, name: bytes, entry: Entry) -> None:
        if name == whiteout.OPAQUE:
            parent.opaque = True
            return
        hidden = name[len(whiteout.PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise BadArchiveError(f"{shown(entry.name)} is a whiteout of nothing")
        _check_component(hidden, entry)
        children = _children(parent)
        here = children.get(hidden)
        if here is None:
            self._count(entry)
            children[hidden] = Node(stat.S_IFCHR)
        elif here.children is not None:
            here.opaque = True
            here.implied = False  # the lower directory is gone, and its attributes with it

    def _linked(self, entry: Entry) -> Node:
        """The node that a hard link names."""
        parts = _components(entry.link)
        node: Node | None = None
        if parts:
            name = parts.pop()
            directory = self._walk(parts, entry, make=False)
            node = _children(directory).get(name) if directory is not None else None
        if node is None or node.is_whiteout:
            there = shown(entry.link)
            raise BadArchiveError(
                f"{shown(entry.name)} is a hard link to {there}, which is not in the layer"
            )
        if node.children is not None:
            raise BadArchiveError(f"{shown(entry.name)} is a hard link to a directory")
        return node

    def _count(self, entry: Entry) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise BadArchiveError(f"{shown(entry.name)}: more than {MAX_NODES} files in the layer")


def _children(directory: Node) -> dict[bytes, Node]:
    if directory.children is None:
        raise AssertionError("not a directory")
    return directory.children


def _components(name: bytes) -> list[bytes]:
    """The components of a name of the tar; empty for the root."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part != b"..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise BadArchiveError(f"{shown(name)} leaves the root of the layer")
    return parts


def _node(entry: Entry) -> Node:
    """A node with what the entry says."""
    if entry.type == stat.S_IFLNK and not 0 < len(entry.link) <= MAX_TARGET:
        raise BadArchiveError(f"{shown(entry.name)} is a symbolic link without a valid target")
    node = Node(entry.type | entry.mode, mtime=entry.mtime)
    node.uid = entry.uid
    node.gid = entry.gid
    node.size = entry.size
    node.offset = entry.offset
    node.extents = entry.extents
    if entry.type == stat.S_IFLNK:
        node.link = entry.link
    node.rdev = entry.rdev
    if entry.xattrs:
        node.xattrs = _kept_xattrs(entry)
    return node


def _adopt(directory: Node, other: Node) -> None:
    """Give ``directory`` the attributes of ``other``; what is in it stays."""
    directory.mode, directory.mtime = other.mode, other.mtime
    directory.uid, directory.gid = other.uid, other.gid
    directory.xattrs = other.xattrs
    directory.implied = False


def _kept_xattrs(entry: Entry) -> dict[bytes, bytes] | None:
    """The attributes of an entry that a file on Linux can have.

    Left out: those of overlayfs, which no file shows; other namespaces, which no file system of a
    layer stores; and ``user.`` where the kernel allows none, on links and devices (xattr(7)).
    """
    user = entry.type in (stat.S_IFREG, stat.S_IFDIR)
    kept = {}
    total = 0
    for name, value in entry.xattrs.items():
        if name.startswith(whiteout.OVERLAY_PRIVATE) or b"\0" in name:
            continue
        prefix = name[: name.find(b".") + 1]
        if name not in _ACLS and (prefix not in _NAMESPACES or name == prefix):
            continue
        if prefix == b"user." and not user:
            continue
        total += len(name) + len(value) + 8
        if len(name) > MAX_COMPONENT or len(value) > MAX_XATTR_VALUE or total > MAX_XATTRS:
            raise BadArchiveError(f"{shown(entry.name)} has too large extended attributes")
        kept[name] = value
    return kept or None


def _is_aufs_metadata(name: bytes) -> bool:
    return name.startswith(whiteout.METADATA_PREFIX) and name != whiteout.OPAQUE


def _check_component(part: bytes, entry: Entry) -> None:
    if len(part) > MAX_COMPONENT:
        raise BadArchiveError(f"{shown(entry.name)}: file name too long")


def _check_depth(depth: int, entry: Entry) -> None:
    if depth > MAX_DEPTH:
        raise BadArchiveError(f"{shown(entry.name)} is more than {MAX_DEPTH} directories deep")


def _check_hops(hops: int, entry: Entry) -> None:
    if hops > _MAX_HOPS:
        raise BadArchiveError(f"{shown(entry.name)}: too many levels of symbolic links")

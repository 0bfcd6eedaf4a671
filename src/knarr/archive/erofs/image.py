"""From the tree of a layer to the metadata of its EROFS image."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from . import header, ondisk
from .data import DataArea, Placement
from .header import LayerHeader
from .ondisk import BLOCK, BLOCK_BITS, INLINE, INODE_SIZE, NID_SIZE, PLAIN

if TYPE_CHECKING:
    from knarr.archive.tree import Node, Tree

_ALIGN = 4096
_MAX_INLINE = BLOCK - 2 * NID_SIZE  # less than this fits behind some inode, see _assign
_FIRST_INODE = INODE_SIZE  # number 0 is nobody's: readdir(3) takes it for a deleted entry


class _Planned:
    """An inode that is being laid out; ``at`` is its offset in the metadata area."""

    __slots__ = ("at", "blocks", "links", "node", "parent", "placement", "size", "xattrs")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.parent: _Planned | None = None
        self.links = 0
        self.at = 0
        self.size = node.size
        self.xattrs = b""
        self.placement = Placement(PLAIN, 0)
        self.blocks: list[list[bytes]] = []

    @property
    def nid(self) -> int:
        return self.at // NID_SIZE


def write(fd: int, tree: Tree, *, tar_size: int, digest: bytes) -> int:
    """Complete the layer file ``fd``, which holds the tar from offset 4096 on; the file's size.

    The header comes last, so that a file that is not complete is not a layer.
    """
    area = DataArea(fd, tar_size)
    planned = _collect(tree.root)
    for each in planned.values():
        _place(each, area)
    meta_start = _up(area.end, _ALIGN)
    inodes_end = _up(_assign(planned), BLOCK)
    meta_size = _place_directories(planned, meta_start, inodes_end)
    meta = _metadata(planned, meta_start, meta_size)
    implied = header.pack_implied(tree.implied())
    os.pwrite(fd, implied, meta_start + meta_size)
    size = _up(meta_start + meta_size + len(implied), _ALIGN)
    os.ftruncate(fd, size)
    _pwrite(fd, meta, meta_start)
    superblock = ondisk.superblock(
        root=planned[id(tree.root)].nid,
        inodes=len(planned),
        blocks=size >> BLOCK_BITS,
        meta_block=meta_start >> BLOCK_BITS,
        uuid=digest[:16],
    )
    _pwrite(fd, superblock, ondisk.SUPERBLOCK_OFFSET)
    own = LayerHeader(digest, tar_size, meta_start + meta_size if implied else 0, len(implied))
    _pwrite(fd, own.pack(), 0)
    return size


def _collect(root: Node) -> dict[int, _Planned]:
    """Every node once, parents first and in the order of names, by its identity."""
    first = _Planned(root)
    first.parent, first.links = first, 2
    planned = {id(root): first}
    stack = [first]
    while stack:
        directory = stack.pop()
        children = directory.node.children or {}
        names = sorted(children)
        directory.blocks, directory.size = ondisk.split_names(sorted([b".", b"..", *names]))
        below = []
        for name in names:
            node = children[name]
            each = planned.get(id(node))
            if each is None:
                each = planned[id(node)] = _Planned(node)
            each.links += 1
            if node.children is not None:
                each.links += 1
                each.parent = directory
                directory.links += 1
                below.append(each)
        stack += reversed(below)
    return planned


def _place(each: _Planned, area: DataArea) -> None:
    """Decide where the data of an inode lie; those of directories that are not small come later."""
    node = each.node
    each.xattrs = ondisk.xattrs(node.overlay_xattrs())
    kind = stat.S_IFMT(node.mode)
    if kind == stat.S_IFREG:
        each.placement = area.place(node)
    elif kind == stat.S_IFLNK:
        each.size = len(node.link)
        if len(node.link) < _MAX_INLINE:
            each.placement = Placement(INLINE, 0, node.link)
        else:
            each.placement = Placement(PLAIN, area.append(node.link))
    elif kind == stat.S_IFDIR:
        if each.size + INODE_SIZE + len(each.xattrs) <= BLOCK:
            each.placement = Placement(INLINE, 0, bytes(each.size))
    else:
        each.placement = Placement(PLAIN, node.rdev)


def _assign(planned: dict[int, _Planned]) -> int:
    """Give every inode its place; the end of the last one.

    An inode does not cross a block, and neither does data that stand inline behind it.
    """
    at = _FIRST_INODE
    for each in planned.values():
        fixed = INODE_SIZE + len(each.xattrs)
        inline = len(each.placement.tail) if each.placement.layout == INLINE else 0
        while (at + fixed) % BLOCK + inline > BLOCK or at % BLOCK + INODE_SIZE > BLOCK:
            at += NID_SIZE
        each.at = at
        at = _up(at + fixed + len(each.placement.tail), NID_SIZE)
    return at


def _place_directories(planned: dict[int, _Planned], meta_start: int, start: int) -> int:
    """Give every larger directory its blocks behind the inodes; the end of the last one."""
    at = start
    for each in planned.values():
        if each.blocks and each.placement.layout != INLINE:
            each.placement = Placement(PLAIN, (meta_start + at) >> BLOCK_BITS)
            at += len(each.blocks) * BLOCK
    return at


def _metadata(planned: dict[int, _Planned], meta_start: int, size: int) -> bytearray:
    """The metadata area: inodes with what follows them, and directory blocks."""
    area = bytearray(size)
    for number, each in enumerate(planned.values(), 1):
        node, placement = each.node, each.placement
        inode = ondisk.Inode(
            number=number,
            layout=placement.layout,
            xattrs=len(each.xattrs),
            mode=node.mode,
            size=each.size,
            where=placement.where,
            uid=node.uid,
            gid=node.gid,
            mtime=node.mtime,
            links=each.links,
        )
        tail = placement.tail
        if each.blocks:
            blocks = _directory(each, planned)
            if placement.layout == INLINE:
                tail = blocks[0]
            else:
                start = (placement.where << BLOCK_BITS) - meta_start
                for index, block in enumerate(blocks):
                    at = start + index * BLOCK
                    area[at : at + len(block)] = block
        record = inode.pack() + each.xattrs + tail
        area[each.at : each.at + len(record)] = record
    return area


def _directory(each: _Planned, planned: dict[int, _Planned]) -> list[bytes]:
    """The blocks of a directory."""
    children = each.node.children or {}
    parent = each.parent or each

    def entry(name: bytes) -> tuple[int, int]:
        if name == b".":
            return each.nid, each.node.mode
        if name == b"..":
            return parent.nid, parent.node.mode
        child = planned[id(children[name])]
        return child.nid, child.node.mode

    return [ondisk.directory_block(names, map(entry, names)) for names in each.blocks]


def _up(value: int, to: int) -> int:
    return (value + to - 1) // to * to


def _pwrite(fd: int, data: bytes | bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view = view[done:]
        offset += done

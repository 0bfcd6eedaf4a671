"""The structures of EROFS on disk: superblock, inodes, attributes, directory entries.

Scope: values to bytes, little-endian. Only what knarr writes: extended inodes, inline attributes,
plain, inline and chunk-based data. Source: fs/erofs/erofs_fs.h of Linux.
"""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
MAX_BLOCKS = (1 << 32) - 2  # the last number means "no block"
NO_BLOCK = 0xFFFFFFFF

SUPERBLOCK_OFFSET = 1024
INODE_SIZE = 64
NID_SIZE = 32

PLAIN, INLINE, CHUNKED = 0, 2, 4
"""Data layouts of an inode."""

MAGIC = 0xE0F5E1E2
_INCOMPAT_CHUNKED = 0x4
_EXTENDED = 1
_VOLUME = b"knarr"

_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_INODE = struct.Struct("<HHHHQIIIIqII16x")
_DIRENT = struct.Struct("<QHBB")
DIRENT_SIZE = _DIRENT.size
_XATTR = struct.Struct("<BBH")
_XATTR_HEADER = bytes(12)

_XATTR_WHOLE = {b"system.posix_acl_access": 2, b"system.posix_acl_default": 3}
_XATTR_PREFIXES = {b"user.": 1, b"trusted.": 4, b"security.": 6}

_FILE_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}


def superblock(*, root: int, inodes: int, blocks: int, meta_block: int, uuid: bytes) -> bytes:
    """The superblock; ``root`` is the number of the root's inode, which must fit 16 bits."""
    return _SUPERBLOCK.pack(
        MAGIC,
        0,  # checksum: the feature is not set
        0,  # compatible features
        BLOCK_BITS,
        0,
        root,
        inodes,
        0,  # epoch, for compact inodes
        0,
        blocks,
        meta_block,
        0,  # no shared attributes
        uuid,
        _VOLUME,
        _INCOMPAT_CHUNKED,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    )


class Inode(NamedTuple):
    """An extended inode.

    ``xattrs`` is the length of the attributes that follow it, ``mtime`` nanoseconds. ``where`` is
    the first block, the device number or the chunk format, depending on the file.
    """

    number: int
    layout: int
    xattrs: int
    mode: int
    size: int
    where: int
    uid: int
    gid: int
    mtime: int
    links: int

    def pack(self) -> bytes:
        """The inode on disk."""
        seconds, nanoseconds = divmod(self.mtime, 1_000_000_000)
        return _INODE.pack(
            _EXTENDED | self.layout << 1,
            (self.xattrs - len(_XATTR_HEADER)) // 4 + 1 if self.xattrs else 0,
            self.mode,
            0,
            self.size,
            self.where,
            self.number,
            self.uid,
            self.gid,
            seconds,
            nanoseconds,
            self.links,
        )


def xattrs(values: Mapping[bytes, bytes]) -> bytes:
    """The inline attributes of an inode, sorted; nothing when there are none.

    Every name must be of a namespace that EROFS stores; see ``tree`` for what is let in.
    """
    if not values:
        return b""
    body = bytearray(_XATTR_HEADER)
    for name in sorted(values):
        value = values[name]
        index, suffix = _xattr_name(name)
        body += _XATTR.pack(len(suffix), index, len(value)) + suffix + value
        body += bytes(-len(body) % 4)
    return bytes(body)


def _xattr_name(name: bytes) -> tuple[int, bytes]:
    if name in _XATTR_WHOLE:
        return _XATTR_WHOLE[name], b""
    prefix = name[: name.index(b".") + 1]
    return _XATTR_PREFIXES[prefix], name[len(prefix) :]


def split_names(names: Iterable[bytes]) -> tuple[list[list[bytes]], int]:
    """Sorted names as they fill directory blocks, and the size of such a directory in bytes."""
    blocks: list[list[bytes]] = [[]]
    used = 0
    for name in names:
        needed = DIRENT_SIZE + len(name)
        if used + needed > BLOCK:
            blocks.append([])
            used = 0
        blocks[-1].append(name)
        used += needed
    return blocks, (len(blocks) - 1) * BLOCK + used


def directory_block(names: list[bytes], entries: Iterable[tuple[int, int]]) -> bytes:
    """One block of a directory; ``entries`` are the inode number and mode of each name."""
    offset = DIRENT_SIZE * len(names)
    dirents = bytearray()
    for name, (nid, mode) in zip(names, entries, strict=True):
        dirents += _DIRENT.pack(nid, offset, _FILE_TYPES[stat.S_IFMT(mode)], 0)
        offset += len(name)
    return bytes(dirents) + b"".join(names)


def chunk_map(blocks: list[int]) -> bytes:
    """The block numbers of the chunks of a file; ``NO_BLOCK`` is a hole."""
    return struct.pack(f"<{len(blocks)}I", *blocks)

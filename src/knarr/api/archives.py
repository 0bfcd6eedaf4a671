"""Files of containers: what ``HEAD /containers/{id}/archive`` says, and committing.

Source: Engine API v1.51, ``ContainerArchive`` and ``ImageCommit``. A mode is in the form of Go's
``io/fs``: the permissions as in Linux, everything else in bits of its own.
"""

from __future__ import annotations

import stat

import msgspec

from knarr.api.message import Message, always

_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class PathStat(Message, frozen=True, kw_only=True, rename="camel"):
    """A file of a container; ``link_target`` is where a link leads in the end, from the root."""

    name: str
    size: int = always(int)
    mode: int = always(int)
    mtime: str = always(str)
    link_target: str = always(str)


class Committed(Message, frozen=True, kw_only=True):
    """``POST /commit``: the id of the new image."""

    id: str = msgspec.field(name="Id")


def go_mode(mode: int) -> int:
    """A mode of stat(2) in Go's form."""
    made = mode & 0o777 | _KINDS.get(stat.S_IFMT(mode), 0)
    for bit, theirs in _BITS:
        if mode & bit:
            made |= theirs
    return made

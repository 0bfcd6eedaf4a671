"""What a tar says of a file that exists: from stat(2) and its attributes to an ``Entry``."""

from __future__ import annotations

import errno
import os
import stat

from . import whiteout
from .entry import HARDLINK, Entry

_KEPT = ("user.", "trusted.", "system.posix_acl_", "security.capability")
_PRIVATE = os.fsdecode(whiteout.OVERLAY_PRIVATE)


def entry(path: bytes, info: os.stat_result, xattrs: dict[str, bytes]) -> Entry:
    """The entry of a file; the target of a symbolic link is still to be put in.

    Attributes that mean something on this machine only are left out.
    """
    kind = stat.S_IFMT(info.st_mode)
    return Entry(
        name=path,
        type=kind,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        size=info.st_size if kind == stat.S_IFREG else 0,
        mtime=info.st_mtime_ns,
        link=b"",
        rdev=info.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        xattrs={os.fsencode(name): value for name, value in xattrs.items() if travels(name)},
        offset=0,
    )


class HardLinks:
    """Which files of a tree have been written, so that further names of them become links."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], bytes] = {}

    def entry(self, path: bytes, info: os.stat_result) -> Entry | None:
        """The link to the name under which the file was written; None when this is the first."""
        if info.st_nlink < 2:
            return None
        first = self._first.setdefault((info.st_dev, info.st_ino), path)
        if first == path:
            return None
        return entry(path, info, {})._replace(type=HARDLINK, link=first, size=0, rdev=0)


def travels(xattr: str) -> bool:
    """Whether an attribute belongs to the file wherever it is."""
    return xattr.startswith(_KEPT) and not xattr.startswith(_PRIVATE)


def read_xattrs(file: int | bytes) -> dict[str, bytes]:
    """All attributes of an open file, or of a path that is not followed."""
    follow = isinstance(file, int)
    found = {}
    try:
        for name in os.listxattr(file, follow_symlinks=follow):
            found[name] = os.getxattr(file, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA):
            raise
    return found


def read_xattrs_of(node: int) -> dict[str, bytes]:
    """The attributes of a file, no symbolic link, that is open with O_PATH only."""
    path = f"/proc/self/fd/{node}"
    found = {}
    try:
        for name in os.listxattr(path):
            found[name] = os.getxattr(path, name)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENODATA):
            raise
    return found

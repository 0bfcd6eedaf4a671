"""Two directory trees, compared in everything that a layer must keep."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


def walk(root: Path, *, overlay: bool = False) -> dict[bytes, Facts]:
    """Every file below ``root`` by its relative path: type, mode, owner, times, content...

    ``overlay`` also shows the attributes ``trusted.overlay.*``. Hard links carry the first path
    of their group; holes are the runs of data that SEEK_DATA finds, in blocks of 4096.
    """
    found: dict[bytes, Facts] = {}
    groups: dict[tuple[int, int], bytes] = {}
    pending = [root]
    while pending:
        path = pending.pop()
        relative = os.fsencode(path.relative_to(root))
        found[relative] = _facts(path, relative, groups, overlay=overlay)
        if stat.S_ISDIR(path.lstat().st_mode):
            pending += sorted(path.iterdir(), reverse=True)
    return found


def differences(left: dict[bytes, Facts], right: dict[bytes, Facts]) -> list[str]:
    """What differs, one line each; empty when the trees are equal."""
    lines = [f"only left: {path!r}" for path in left.keys() - right.keys()]
    lines += [f"only right: {path!r}" for path in right.keys() - left.keys()]
    for path in left.keys() & right.keys():
        ours, theirs = left[path], right[path]
        lines += [
            f"{path!r} {key}: {ours.get(key)!r} != {theirs.get(key)!r}"
            for key in ours.keys() | theirs.keys()
            if ours.get(key) != theirs.get(key)
        ]
    return sorted(lines)


def _facts(path: Path, relative: bytes, groups: dict, *, overlay: bool) -> Facts:
    info = path.lstat()
    kind = stat.S_IFMT(info.st_mode)
    facts: Facts = {
        "type": oct(kind),
        "mode": oct(stat.S_IMODE(info.st_mode)),
        "owner": (info.st_uid, info.st_gid),
        "mtime": info.st_mtime_ns,
        "xattrs": {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
            if overlay or not name.startswith("trusted.overlay.")
        },
    }
    if kind != stat.S_IFDIR:
        facts["links"] = info.st_nlink
        facts["group"] = groups.setdefault((info.st_dev, info.st_ino), relative)
    if kind == stat.S_IFLNK:
        facts["target"] = os.fsencode(path.readlink())
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        facts["device"] = (os.major(info.st_rdev), os.minor(info.st_rdev))
    elif kind == stat.S_IFREG:
        facts["size"] = info.st_size
        with path.open("rb") as file:
            facts["content"] = hashlib.file_digest(file, "sha256").hexdigest()
            facts["sparse"] = _data(file.fileno(), info.st_size) != info.st_size
    return facts


def _data(fd: int, size: int) -> int:
    """How many bytes of the file are not holes."""
    total = at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        total += at - start
    return total

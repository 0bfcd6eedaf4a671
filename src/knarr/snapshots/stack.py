"""Looking a path up in a stack of layers, by the rules of overlayfs but without mounting it.

Source: kernel filesystems/overlayfs.rst "Merged Directories", "whiteouts and opaque directories".
Laws: layers come uppermost first. Symbolic links are never followed, so a layer cannot make us
look outside of it. Attributes of a directory are those of the uppermost layer that has it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from knarr.archive import whiteout
from knarr.sys.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Found(NamedTuple):
    """A file of a stack: what stat(2) says, its attributes, and where a symbolic link leads."""

    info: os.stat_result
    xattrs: dict[str, bytes]
    link: bytes = b""

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.info.st_mode)


def find(layers: Sequence[Path], path: bytes) -> Found | None:
    """The file that an overlay of ``layers`` shows at ``path``, or None."""
    for layer in layers:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found, covered = _look(root, path.split(b"/"))
        finally:
            os.close(root)
        if found is not None or covered:
            return found
    return None


def _look(root: int, parts: list[bytes]) -> tuple[Found | None, bool]:
    """What one layer has at the path, and whether it covers the layers below it there."""
    covered = False
    for end in range(1, len(parts) + 1):
        found = _facts(root, b"/".join(parts[:end]))
        if found is None:
            return None, covered
        if is_whiteout(found.info, found.xattrs):
            return None, True
        if end == len(parts):
            return found, True
        if not found.is_dir:
            return None, True
        covered = covered or is_opaque(found.xattrs)
    return None, covered


def _facts(root: int, path: bytes) -> Found | None:
    try:
        fd = openat2(root, path, os.O_PATH | os.O_NOFOLLOW, resolve=_INSIDE)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        info = os.fstat(fd)
        link = os.fsencode(os.readlink("", dir_fd=fd)) if stat.S_ISLNK(info.st_mode) else b""
        return Found(info, {} if link else read_xattrs(f"/proc/self/fd/{fd}"), link)
    finally:
        os.close(fd)


def read_xattrs(path: str | bytes) -> dict[str, bytes]:
    """All extended attributes of a file; the last component may be a descriptor's magic link."""
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def is_whiteout(info: os.stat_result, xattrs: dict[str, bytes]) -> bool:
    """Whether the file of a layer says that its name is gone."""
    if whiteout.is_overlay_whiteout(info.st_mode, info.st_rdev):
        return True
    return not info.st_size and os.fsdecode(whiteout.WHITEOUT_XATTR) in xattrs


def is_opaque(xattrs: dict[str, bytes]) -> bool:
    """Whether nothing below a directory of a layer may be seen."""
    return xattrs.get(os.fsdecode(whiteout.OPAQUE_XATTR)) == whiteout.OPAQUE_VALUE

"""Where a path leads, as text, when all its symbolic links are followed inside a root."""

from __future__ import annotations

import os

from knarr.sys.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_MOST_LINKS = 255
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def resolved(root: int, path: bytes) -> bytes:
    """The path from the root without links; what is not there is taken as it stands.

    For showing only: the tree may have changed when it is used. Raises OSError for too many links.
    """
    pending = path.split(b"/")[::-1]
    found: list[bytes] = []
    links = 0
    while pending:
        part = pending.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            del found[-1:]
            continue
        target = _target(root, b"/".join([*found, part]))
        if target is None:
            found.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(40, "too many levels of symbolic links", path)
        if target.startswith(b"/"):
            found.clear()
        pending += target.split(b"/")[::-1]
    return b"/" + b"/".join(found)


def _target(root: int, path: bytes) -> bytes | None:
    """What the link at ``path`` says; None for anything else."""
    try:
        node = openat2(root, path, _NODE, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    except OSError:
        return None
    try:
        return os.fsencode(os.readlink("", dir_fd=node))
    except OSError:
        return None
    finally:
        os.close(node)

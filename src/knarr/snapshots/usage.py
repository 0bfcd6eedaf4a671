"""How much a directory holds. Nothing is followed, and what vanishes meanwhile counts nothing."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def apparent(root: Path) -> int:
    """The bytes of all files and links below ``root``; hard links count once, directories not.

    This is how Docker counts the size of a container's writable layer.
    """
    return sum(info.st_size for info in _files(root) if not stat.S_ISDIR(info.st_mode))


def allocated(root: Path) -> int:
    """The bytes on disk of everything below ``root``; hard links count once."""
    return sum(info.st_blocks * 512 for info in _files(root))


def _files(root: Path) -> Iterator[os.stat_result]:
    seen: set[tuple[int, int]] = set()
    pending = [os.fsencode(root)]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(info.st_mode):
                pending.append(entry.path)
            elif info.st_nlink > 1:
                if (info.st_dev, info.st_ino) in seen:
                    continue
                seen.add((info.st_dev, info.st_ino))
            yield info

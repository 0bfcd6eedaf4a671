"""The places that every container mounts something on, as a directory below its image's layers.

The runtime makes a missing mount point inside the root, and so through overlayfs into the writable
layer, at ten times the cost of a mkdir(2) and for everyone to see in ``diff``. A directory that has
them, shared by all containers and never written to, spares both: being the lowest layer, it only
shows where the image has nothing of that name, and never changes what the image has. The mark of a
container, which programs look for, is there for the same reasons.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from knarr.mount import Mount

_DIRECTORIES = ("proc", "sys", "dev", "etc")
_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf")
#: The empty file by which programs find out that they are in a container.
_MARK = ".dockerenv"
#: What is mounted, where programs of old look for it.
_MOUNTED = "etc/mtab"


def ensure(path: Path) -> None:
    """Make what is missing of the directory ``path``."""
    for name in _DIRECTORIES:
        (path / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in _FILES:
        (path / name).touch(mode=0o644)
    (path / _MARK).touch(mode=0o755)
    with contextlib.suppress(FileExistsError):
        (path / _MOUNTED).symlink_to("/proc/mounts")


def below(rootfs: Sequence[Mount], path: str) -> tuple[Mount, ...]:
    """The mounts of a root filesystem, with the directory ``path`` as its lowest layer."""
    return tuple(
        mount._replace(lower=(*mount.lower, path))
        if mount.type == "overlay" and not mount.target
        else mount
        for mount in rootfs
    )

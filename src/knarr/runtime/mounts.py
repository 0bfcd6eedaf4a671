"""Operations that mount something inside the root filesystem, and that hide parts of it. Pure."""

from __future__ import annotations

import errno
from functools import lru_cache

from knarr.runtime import detached, inside
from knarr.runtime.ops import Operation
from knarr.runtime.options import RDONLY, Attributes, Options
from knarr.runtime.table import Shared, Slot

_REMEMBERED = 512  # operations: containers are much alike
_GONE = (errno.ENOENT, errno.ENOTDIR)


@lru_cache(_REMEMBERED)
def filesystem(kind: str, source: str, target: str, options: Options) -> Operation:
    """Mount a new filesystem on the directory ``target`` inside the root.

    procfs, sysfs and /dev are refused on a symbolic link: an image could otherwise choose where
    they are, and masked paths would name something else.
    """
    made, point = Slot("mount"), Slot("mount point")
    plain = kind in {"proc", "sysfs"} or inside.relative(target) == "dev"
    data = "".join(f",{key}" if value is None else f",{key}={value}" for key, value in options.data)
    return Operation(
        f"mount {kind} on {target}",
        f'fsopen("{kind}"{data}) -> fsmount({detached.shown(options)}) -> move_mount("{target}")',
        (
            *detached.made(kind, source, options, made),
            *inside.directory(target, point, symlinks=not plain),
            detached.attach(made, point),
        ),
    )


def clone_early(source: str, options: Options, clone: Shared) -> Operation:
    """Clone ``source`` while the mounts are still peers of the host's, for a shared bind."""
    text = f'open_tree("{source}", OPEN_TREE_CLONE)'
    return Operation(f"clone {source}", text, detached.clone(source, clone, options))


def bind_clone(clone: Shared, target: str, *, is_directory: bool) -> Operation:
    """Put what ``clone_early`` made on ``target`` inside the root."""
    point = Slot("mount point")
    place = inside.directory(target, point) if is_directory else inside.file(target, point)
    calls = (*place, detached.attach(clone, point))
    return Operation(f"mount clone on {target}", f'move_mount(clone -> "{target}")', calls)


def bind(source: str, target: str, options: Options, *, is_directory: bool) -> Operation:
    """Bind ``source`` of the host on ``target`` inside the root."""
    made, point = Slot("mount"), Slot("mount point")
    place = inside.directory(target, point) if is_directory else inside.file(target, point)
    flags = "AT_RECURSIVE" if options.recursive else "0"
    text = (
        f'open_tree("{source}", {flags}) -> mount_setattr({detached.shown(options)})'
        f' -> move_mount("{target}")'
    )
    calls = (*detached.clone(source, made, options), *place, detached.attach(made, point))
    return Operation(f"mount {source} on {target}", text, calls)


@lru_cache(_REMEMBERED)
def mask(path: str) -> Operation:
    """Hide ``path``: an empty read-only directory or /dev/null is put over it, if it exists."""
    point, cover, null = Slot("path"), Slot("cover"), Slot("null")
    empty = Options(top=Attributes(set=RDONLY), data=(("ro", None), ("size", "1")))
    hide_directory = (
        *detached.made("tmpfs", "tmpfs", empty, cover),
        detached.attach(cover, point),
    )
    hide_file = (
        # Never through a link: whatever it names would be mounted here (CVE-2025-31133).
        inside.opened("dev/null", inside.O_PATH, null, symlinks=False),
        detached.clone_of(null, cover, recursive=False),
        detached.attach(cover, point),
    )
    file = inside.opened(path, inside.O_PATH, point, allow=_GONE).then(*hide_file)
    either = inside.opened(path, inside.DIRECTORY, point, allow=_GONE)
    text = f'move_mount(read-only tmpfs or "/dev/null" -> "{path}")'
    return Operation(f"mask {path}", text, (either.then(*hide_directory).otherwise(file),))


@lru_cache(_REMEMBERED)
def readonly(path: str) -> Operation:
    """Make what is at ``path``, if it exists, and all mounts below it read-only."""
    point, clone = Slot("path"), Slot("clone")
    calls = (
        detached.clone_of(point, clone, recursive=True),
        detached.change_one(clone, Attributes(set=RDONLY), recursive=True),
        detached.attach(clone, point),
    )
    text = f'open_tree("{path}", AT_RECURSIVE) -> mount_setattr(ro) -> move_mount("{path}")'
    opened = inside.opened(path, inside.O_PATH, point, allow=_GONE)
    return Operation(f"make {path} read-only", text, (opened.then(*calls),))


@lru_cache(_REMEMBERED)
def make_readonly(target: str) -> Operation:
    """Make the filesystem that was mounted on ``target`` read-only, now that it is furnished."""
    made = Slot("mount")
    return Operation(
        f"make {target} read-only",
        f'mount_setattr("{target}", ro)',
        (
            inside.opened(target, inside.DIRECTORY, made),
            detached.change_one(made, Attributes(set=RDONLY), recursive=False),
        ),
    )

"""Operations that mount something inside the root filesystem, and that hide parts of it. Pure."""

from __future__ import annotations

import errno
import os
import re
from functools import lru_cache

from knarr.errors import InvalidArgumentError
from knarr.runtime import detached, inside
from knarr.runtime.ops import AT_FDCWD, CLONE_NEWNS, Operation
from knarr.runtime.options import RDONLY, Attributes, Options
from knarr.runtime.table import Call, Shared, Slot, call

_REMEMBERED = 512  # operations: containers are much alike
_PAGE_LIMIT = 4095  # bytes of the option string of mount(2)
LOWERDIR_APPEND = (6, 7)  # the first kernel whose overlayfs takes layers one by one
_COLON = re.compile(r"(?<!\\):")
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


def clone_elsewhere(source: str, options: Options, clone: Shared) -> Operation:
    """Clone ``source`` of another mount namespace, which may belong to another container.

    No symbolic link is followed there, and the way back is by a descriptor.
    """
    here, there, found = Slot("namespace"), Slot("other namespace"), Slot("source")
    reading = os.O_RDONLY | os.O_CLOEXEC
    text = (
        f'setns("{options.namespace}", CLONE_NEWNS) -> open_tree("{source}", OPEN_TREE_CLONE)'
        " -> setns(back)"
    )
    calls = (
        call("openat", AT_FDCWD, "/proc/self/ns/mnt", reading, 0, store=here),
        call("openat", AT_FDCWD, options.namespace, reading, 0, store=there),
        call("setns", there, CLONE_NEWNS),
        inside.opened(source, inside.DIRECTORY, found, root=AT_FDCWD, symlinks=False),
        detached.clone_of(found, clone, recursive=False),
        *detached.change(clone, options),
        call("setns", here, CLONE_NEWNS),
        call("close", found),
        call("close", there),
        call("close", here),
    )
    return Operation(f"clone {source} of {options.namespace}", text, calls)


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


def bind_below(source: str, target: str, options: Options) -> Operation:
    """Bind ``options.subdir`` of the directory ``source`` of the host on ``target``.

    Who writes into ``source`` cannot choose what is bound: the way down is resolved by the kernel,
    in one step, and ends below ``source`` whatever links are on it.
    """
    base, found, made = Slot("source"), Slot("part of the source"), Slot("mount")
    point = Slot("mount point")
    clone = (
        detached.clone_of(found, made, recursive=options.recursive),
        *detached.change(made, options),
    )
    text = (
        f'openat2("{source}", "{options.subdir}", RESOLVE_IN_ROOT) -> open_tree'
        f' -> mount_setattr({detached.shown(options)}) -> move_mount("{target}")'
    )
    is_directory = inside.opened(
        options.subdir, inside.DIRECTORY, found, root=base, allow=(errno.ENOTDIR,)
    )
    is_file = (
        inside.opened(options.subdir, inside.O_PATH, found, root=base),
        *clone,
        *inside.file(target, point),
        detached.attach(made, point),
    )
    calls = (
        call("openat", AT_FDCWD, source, inside.DIRECTORY | os.O_CLOEXEC, 0, store=base),
        is_directory.then(
            *clone, *inside.directory(target, point), detached.attach(made, point)
        ).otherwise(*is_file),
    )
    return Operation(f"mount {options.subdir} of {source} on {target}", text, calls)


def is_view(options: Options) -> bool:
    """Whether the options are those of an overlay that only shows its layers."""
    keys = [key for key, _ in options.data]
    return keys.count("lowerdir") == 1 and not {"upperdir", "workdir"}.intersection(keys)


def overlay(target: str, options: Options, kernel: tuple[int, int]) -> Operation:
    """Mount an overlay whose layers are in the option ``lowerdir``; none of them is written to.

    Of a ``subdir``, a clone is put above the whole, which it hides.
    """
    made, point, part = Slot("mount"), Slot("mount point"), Slot("part")
    listed = next(value or "" for key, value in options.data if key == "lowerdir")
    layers = [each.replace("\\:", ":") for each in _COLON.split(listed)]
    calls: list[Call] = [*inside.directory(target, point)]
    if kernel >= LOWERDIR_APPEND:
        single = tuple(("lowerdir+", each) for each in layers)
        rest = tuple(each for each in options.data if each[0] != "lowerdir")
        calls += detached.made("overlay", "overlay", options._replace(data=single + rest), made)
        calls.append(detached.attach(made, point))
    else:
        data = ",".join(key if value is None else f"{key}={value}" for key, value in options.data)
        if len(data) > _PAGE_LIMIT:
            raise InvalidArgumentError(
                f'the layers on "{target}" do not fit into the options of one mount'
            )
        calls += [
            call("fchdir", point),
            call("mount", "overlay", ".", "overlay", RDONLY, data),
            inside.opened(target, inside.DIRECTORY, made),
        ]
    if options.subdir:
        calls += [
            inside.opened(options.subdir, inside.DIRECTORY, part, root=made),
            detached.clone_of(part, part, recursive=False),
            *inside.directory(target, point),
            detached.attach(part, point),
        ]
    text = (
        f'fsopen("overlay",lowerdir+={len(layers)} layers) -> fsmount(ro) -> move_mount("{target}")'
    )
    return Operation(f"mount overlay on {target}", text, tuple(calls))


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

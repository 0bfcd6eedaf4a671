"""Operations on the root filesystem: mount it, make it ``/``, finish it. Pure."""

from __future__ import annotations

import os
import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import detached, inside
from knarr.runtime.inside import ROOT
from knarr.runtime.mounts import LOWERDIR_APPEND
from knarr.runtime.ops import AT_FDCWD, Operation
from knarr.runtime.options import MS_SLAVE, RDONLY, Attributes, Options
from knarr.runtime.table import Call, Slot, call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.mount import Mount

_REMEMBERED = 64  # operations: containers are much alike
_MS_REC = 0x4000
_MNT_DETACH = 2
_FSCONFIG_LIMIT = 255  # bytes of a string that fsconfig(2) takes
_PAGE_LIMIT = 4095  # bytes of the option string of mount(2)


@lru_cache(_REMEMBERED)
def propagate(flags: int, what: str = "set propagation of /") -> Operation:
    """Set the propagation of the whole tree of the mount namespace."""
    name = "MS_SLAVE" if flags == MS_SLAVE else f"{flags:#x}"
    return Operation(
        what,
        f'mount(NULL, "/", NULL, MS_REC|{name})',
        (call("mount", 0, "/", 0, flags | _MS_REC, 0),),
    )


def directory(path: str) -> Operation:
    """Use the directory ``path`` of the host as the root: a mount of its own, so it can pivot."""
    return Operation(
        f"mount rootfs {path}",
        f'open_tree("{path}", AT_RECURSIVE) -> move_mount("{path}")',
        (detached.clone_path(path, ROOT, recursive=True), _put(path)),
    )


def filesystem(mount: Mount, options: Options, path: str, kernel: tuple[int, int]) -> Operation:
    """Mount ``mount`` on the directory ``path`` of the host, as the root of the container."""
    shown = detached.shown(options)
    if mount.type == "overlay":
        text = (
            f'fsopen("overlay",lowerdir+={len(mount.lower)} layers,upperdir={mount.upper})'
            f' -> fsmount({shown}) -> move_mount("{path}")'
        )
        return Operation("mount overlay on rootfs", text, _overlay(mount, options, path, kernel))
    if mount.type == "bind" or options.bind:
        text = f'open_tree("{mount.source}") -> mount_setattr({shown}) -> move_mount("{path}")'
        calls = (*detached.clone(mount.source, ROOT, options), _put(path))
        return Operation(f"mount {mount.source} on rootfs", text, calls)
    text = f'fsopen("{mount.type}") -> fsmount({shown}) -> move_mount("{path}")'
    calls = (*detached.made(mount.type, mount.source, options, ROOT), _put(path))
    return Operation(f"mount {mount.type} on rootfs", text, calls)


@lru_cache(_REMEMBERED)
def make_readonly() -> Operation:
    """Make the root mount read-only; what is mounted inside it stays as it is."""
    return Operation(
        "make the root read-only",
        'mount_setattr("/", ro)',
        (detached.change_one(ROOT, Attributes(set=RDONLY), recursive=False),),
    )


@lru_cache(_REMEMBERED)
def working_directory(path: str) -> Operation:
    """Make sure that the directory ``path`` exists, as Docker does for ``-w``."""
    return Operation(
        f"create working directory {path}",
        f'mkdirat("{path}") if it is missing',
        inside.directory(path, Slot("working directory")),
    )


@lru_cache(_REMEMBERED)
def pivot() -> Operation:
    """Make the root mount ``/`` and let go of the host's tree, pivot_root(2)."""
    return Operation(
        "pivot into rootfs",
        'fchdir(rootfs); pivot_root(".", "."); umount2(".", MNT_DETACH); chdir("/")',
        (
            call("fchdir", ROOT),
            call("pivot_root", ".", "."),
            call("umount2", ".", _MNT_DETACH),
            call("chdir", "/"),
        ),
    )


def _put(path: str) -> Call:
    flags = detached.MOVE_MOUNT_F_EMPTY_PATH | detached.MOVE_MOUNT_T_SYMLINKS
    return call("move_mount", ROOT, "", AT_FDCWD, path, flags)


def _overlay(
    mount: Mount, options: Options, path: str, kernel: tuple[int, int]
) -> tuple[Call, ...]:
    if not mount.lower:
        raise InvalidArgumentError("an overlay without layers cannot be mounted")
    writable = [each for each in (mount.upper, mount.work) if each]
    names = [*mount.lower, *writable]
    one_by_one = kernel >= LOWERDIR_APPEND
    enter: tuple[Call, ...] = ()
    if not one_by_one or _longest(names) > _FSCONFIG_LIMIT:
        # Relative names fit where absolute ones do not.
        base = posixpath.commonpath(names)
        names = [posixpath.relpath(each, base) for each in names]
        one_by_one = one_by_one and _longest(names) <= _FSCONFIG_LIMIT
        enter = (call("chdir", base),)
    lower, rest = names[: len(mount.lower)], names[len(mount.lower) :]
    upper = list(zip(("upperdir", "workdir"), map(_escaped, rest), strict=False))
    if not one_by_one:
        return (*enter, *_overlay_by_mount(lower, upper, options, path))
    data = (*(("lowerdir+", each) for each in lower), *upper, *options.data)
    return (
        *enter,
        *detached.made("overlay", "overlay", options._replace(data=data), ROOT),
        _put(path),
    )


def _overlay_by_mount(
    lower: Sequence[str], upper: Sequence[tuple[str, str]], options: Options, path: str
) -> tuple[Call, ...]:
    """The way of mount(2), for kernels before 6.7 and long names: all in a string of a page."""
    joined = ":".join(_escaped(each).replace(":", "\\:") for each in lower)
    pairs = [f"{key}={_without_comma(value)}" for key, value in (("lowerdir", joined), *upper)]
    pairs += [key if value is None else f"{key}={value}" for key, value in options.data]
    data = ",".join(pairs)
    if len(os.fsencode(data)) > _PAGE_LIMIT:
        raise InvalidArgumentError(
            f"{len(lower)} layers do not fit into the options of one mount",
            hint="Linux 6.7 and newer take names of up to 255 bytes one by one",
        )
    return (
        call("mount", "overlay", path, "overlay", 0, data),
        call("openat", AT_FDCWD, path, inside.DIRECTORY | os.O_CLOEXEC, 0, store=ROOT),
        *detached.change(ROOT, options),
    )


def _longest(names: Sequence[str]) -> int:
    return max(len(os.fsencode(each)) for each in names)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\")


def _without_comma(value: str) -> str:
    return value.replace(",", "\\,")

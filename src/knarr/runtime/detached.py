"""Calls that make a mount which is attached nowhere yet, give it its attributes, and attach it.

By the mount API of Linux 5.2 (fsopen, fsmount, open_tree, move_mount) and mount_setattr(2) of 5.12:
a mount gets its attributes while nobody can see it and is then put on a descriptor of its mount
point, so there is no moment with wrong attributes and no path that is resolved twice. Pure.
"""

from __future__ import annotations

import os
import struct

from knarr.runtime.ops import AT_FDCWD
from knarr.runtime.options import (
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    NOATIME,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOSUID,
    NOSYMFOLLOW,
    RDONLY,
    STRICTATIME,
    Attributes,
    Options,
)
from knarr.runtime.table import Call, Shared, Slot, call

AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_SYMLINKS = 0x10
_MOVE_MOUNT_T_EMPTY_PATH = 0x40


def made(kind: str, source: str, options: Options, store: Slot | Shared) -> tuple[Call, ...]:
    """A new filesystem, detached. Empty values of ``source`` and options are left out."""
    context = Slot("filesystem context")
    settings = [
        call("fsconfig", context, _FSCONFIG_SET_FLAG, key, 0, 0)
        if value is None
        else call("fsconfig", context, _FSCONFIG_SET_STRING, key, value, 0)
        for key, value in (("source", source), *options.data)
        if value != ""
    ]
    attributes = options.top.set | options.tree.set
    return (
        call("fsopen", kind, _FSOPEN_CLOEXEC, store=context),
        *settings,
        call("fsconfig", context, _FSCONFIG_CMD_CREATE, 0, 0, 0),
        call("fsmount", context, _FSMOUNT_CLOEXEC, attributes, store=store),
        *_propagations(store, options),
    )


def clone(source: str, store: Slot | Shared, options: Options) -> tuple[Call, ...]:
    """A clone of ``source``, detached, with its attributes."""
    return (
        clone_path(source, store, recursive=options.recursive),
        *change(store, options),
    )


def clone_path(source: str, store: Slot | Shared, *, recursive: bool) -> Call:
    """A clone of ``source`` as it is, and of the mounts below it if ``recursive``."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return call("open_tree", AT_FDCWD, source, flags, store=store)


def clone_of(point: Slot | Shared, store: Slot | Shared, *, recursive: bool) -> Call:
    """A clone of what the descriptor ``point`` has open."""
    flags = AT_EMPTY_PATH | _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    return call("open_tree", point, "", flags | (AT_RECURSIVE if recursive else 0), store=store)


def change(mount: Slot | Shared, options: Options) -> tuple[Call, ...]:
    """Give ``mount`` the attributes of ``options``."""
    calls = []
    if options.tree:
        calls.append(change_one(mount, options.tree, recursive=True))
    if options.top:
        calls.append(change_one(mount, options.top, recursive=False))
    return tuple(calls)


def _propagations(mount: Slot | Shared, options: Options) -> tuple[Call, ...]:
    only = options._replace(
        top=Attributes(propagation=options.top.propagation),
        tree=Attributes(propagation=options.tree.propagation),
    )
    return change(mount, only)


def change_one(mount: Slot | Shared, attributes: Attributes, *, recursive: bool) -> Call:
    """Give ``mount``, or the whole tree below it, these attributes."""
    request = struct.pack("=QQQQ", attributes.set, attributes.clear, attributes.propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    return call("mount_setattr", mount, "", flags, request, len(request))


def attach(mount: Slot | Shared, point: Slot | Shared) -> Call:
    """Put the detached ``mount`` on the place that ``point`` has open."""
    return call(
        "move_mount", mount, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    )


_NAMES = {
    RDONLY: "ro",
    NOSUID: "nosuid",
    NODEV: "nodev",
    NOEXEC: "noexec",
    NOATIME: "noatime",
    STRICTATIME: "strictatime",
    NODIRATIME: "nodiratime",
    NOSYMFOLLOW: "nosymfollow",
}
_PROPAGATION_NAMES = {
    MS_UNBINDABLE: "unbindable",
    MS_PRIVATE: "private",
    MS_SLAVE: "slave",
    MS_SHARED: "shared",
}


def shown(options: Options) -> str:
    """The attributes as options, for descriptions."""
    names = []
    for prefix, attributes in (("", options.top), ("r", options.tree)):
        names += [prefix + name for flag, name in _NAMES.items() if attributes.set & flag]
        if attributes.propagation:
            names.append(prefix + _PROPAGATION_NAMES[attributes.propagation])
    return ",".join(names) or "rw"

"""Operations that furnish ``/dev``. Pure.

The six devices that every container has and the links are those of the OCI runtime-spec,
config-linux.md "Default Devices" and runtime-linux.md "Dev symbolic links".
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from functools import cache
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import inside
from knarr.runtime.ops import Operation
from knarr.runtime.options import Options
from knarr.runtime.table import Call, Slot, call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.runtime_spec import Device, DeviceRule

_MODE = 0o666
_AT_SYMLINK_NOFOLLOW = 0x100


def _device(name: str, major: int, minor: int) -> Device:
    path = f"/dev/{name}"
    return {"type": "c", "path": path, "major": major, "minor": minor, "fileMode": _MODE}


def _rule(major: int, minor: int) -> DeviceRule:
    return {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}


_NUMBERS = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
    "tty": (5, 0),
}  # fmt: skip

DEFAULT = tuple(_device(name, *numbers) for name, numbers in _NUMBERS.items())

# What the device cgroup must allow for the above and for terminals, whatever the spec's rules say.
DEFAULT_RULES: tuple[DeviceRule, ...] = (
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    *(_rule(*numbers) for numbers in _NUMBERS.values()),
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},  # terminals of devpts
    _rule(5, 2),  # /dev/ptmx
)

_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)

_GONE = (errno.ENOENT, errno.ENOTDIR)
_FORMATS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def nodes(wanted: Sequence[Device]) -> list[Operation]:
    """Make the default devices and those of the spec; one that is there is left alone."""
    if not wanted:
        return list(_default_nodes())
    return _nodes(wanted)


@cache
def _default_nodes() -> tuple[Operation, ...]:
    return tuple(_nodes(()))


def _nodes(wanted: Sequence[Device]) -> list[Operation]:
    by_path = {each["path"]: each for each in (*DEFAULT, *wanted)}
    by_directory: dict[str, list[Device]] = {}
    for path, device in by_path.items():
        by_directory.setdefault(posixpath.dirname(path), []).append(device)
    result = []
    for directory, devices in by_directory.items():
        holder = Slot("directory")
        calls = list(inside.directory(directory, holder))
        for device in devices:
            calls += _node(holder, device)
        names = ", ".join(posixpath.basename(each["path"]) for each in devices)
        text = f'mknodat("{directory}", {{{names}}})'
        result.append(Operation(f"create devices in {directory}", text, tuple(calls)))
    return result


def bound_nodes(wanted: Sequence[Device]) -> list[Operation]:
    """The same by binding the host's: in a user namespace no device can be made."""
    from knarr.runtime import mounts  # noqa: PLC0415 - only for user namespaces

    paths = {each["path"] for each in (*DEFAULT, *wanted)}
    return [
        mounts.bind(path, path, Options(bind=True), is_directory=False) for path in sorted(paths)
    ]


@cache
def links() -> Operation:
    """Make the symbolic links that programs expect in ``/dev``."""
    holder = Slot("directory")
    return Operation(
        "create links in /dev",
        'symlinkat("/dev", {fd, stdin, stdout, stderr, core, ptmx})',
        (
            *inside.directory("/dev", holder),
            *(_link(holder, name, to) for name, to in _LINKS),
            inside.opened("/proc/kcore", inside.O_PATH, Slot("kcore"), allow=_GONE).then(
                _link(holder, "core", "/proc/kcore")
            ),
        ),
    )


def _link(holder: Slot, name: str, to: str) -> Call:
    return call("symlinkat", to, holder, name, allow=(errno.EEXIST,))


def _node(holder: Slot, device: Device) -> list[Call]:
    kind = device.get("type", "c")
    if kind not in _FORMATS:
        raise InvalidArgumentError(f'invalid type "{kind}" of device "{device["path"]}"')
    name = posixpath.basename(device["path"])
    number = 0 if kind == "p" else os.makedev(device.get("major", 0), device.get("minor", 0))
    mode = _FORMATS[kind] | stat.S_IMODE(device.get("fileMode", _MODE))
    uid, gid = device.get("uid", 0), device.get("gid", 0)
    made = call("mknodat", holder, name, mode, number, allow=(errno.EEXIST,))
    if uid or gid:
        made = made.then(call("fchownat", holder, name, uid, gid, _AT_SYMLINK_NOFOLLOW))
    return [made]

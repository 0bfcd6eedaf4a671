"""``--mount type=...,source=...,target=...`` and the binds of ``--volume``.

Source of the keys and the messages: docker's ``--mount``.
"""

from __future__ import annotations

import os

from knarr.cli.csv import fields
from knarr.cli.flags import BOOLEANS, BadValueError
from knarr.cli.quantities import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Mount = dict[str, Any]

_SWITCHES = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
_KINDS_OF_OPTIONS = {
    "BindOptions": ("bind", "bind-*"),
    "VolumeOptions": ("volume", "volume-*"),
    "ImageOptions": ("image", "image-*"),
    "TmpfsOptions": ("tmpfs", "tmpfs-*"),
}


def parse(text: str) -> Mount:
    """The mount as the API has it; ``BadValueError``."""
    mount: Mount = {"Type": "volume"}
    for field in fields(text):
        key, equals, value = field.partition("=")
        if not equals and key not in _SWITCHES:
            raise BadValueError(f"invalid field '{field}' must be a key=value pair")
        setter = _SETTERS.get(key)
        if setter is None:
            raise BadValueError(f"unexpected key '{key}' in '{field}'")
        setter(mount, key, value if equals else "true")
    _check(mount)
    return mount


def _check(mount: Mount) -> None:
    if not mount["Type"]:
        raise BadValueError("type is required")
    if not mount.get("Target"):
        raise BadValueError("target is required")
    for part, (kind, options) in _KINDS_OF_OPTIONS.items():
        if part in mount and mount["Type"] != kind:
            raise BadValueError(f"cannot mix '{options}' options with mount type '{mount['Type']}'")
    _check_recursion(mount)


def _check_recursion(mount: Mount) -> None:
    options = mount.get("BindOptions", {})
    word = missing = ""
    if options.get("ReadOnlyNonRecursive"):
        word = "writable"
    elif options.get("ReadOnlyForceRecursive"):
        word = "readonly"
        if options.get("Propagation") != "rprivate":
            missing = "bind-propagation=rprivate"
    if word and not mount.get("ReadOnly"):
        missing = "readonly"
    if missing:
        raise BadValueError(
            f"option 'bind-recursive={word}' requires '{missing}' to be specified in conjunction"
        )


def _boolean(key: str, value: str) -> bool:
    if value not in BOOLEANS:
        raise BadValueError(f"invalid value for {key}: {value}")
    return BOOLEANS[value]


def _set_type(mount: Mount, _key: str, value: str) -> None:
    mount["Type"] = value.lower()


def _set_source(mount: Mount, _key: str, value: str) -> None:
    relative = value == "." or value.startswith("./")
    mount["Source"] = os.path.abspath(value) if relative else value


def _set_target(mount: Mount, _key: str, value: str) -> None:
    mount["Target"] = value


def _set_read_only(mount: Mount, key: str, value: str) -> None:
    mount["ReadOnly"] = _boolean(key, value)


def _set_consistency(mount: Mount, _key: str, value: str) -> None:
    mount["Consistency"] = value.lower()


def _set_propagation(mount: Mount, _key: str, value: str) -> None:
    mount.setdefault("BindOptions", {})["Propagation"] = value.lower()


def _set_non_recursive(mount: Mount, key: str, value: str) -> None:
    mount.setdefault("BindOptions", {})["NonRecursive"] = _boolean(key, value)


def _set_creation(mount: Mount, key: str, value: str) -> None:
    mount.setdefault("BindOptions", {})["CreateMountpoint"] = _boolean(key, value)


def _set_recursion(mount: Mount, key: str, value: str) -> None:
    names = {
        "enabled": None,
        "disabled": "NonRecursive",
        "writable": "ReadOnlyNonRecursive",
        "readonly": "ReadOnlyForceRecursive",
    }
    if value not in names:
        raise BadValueError(
            f"invalid value for {key}: {value} "
            '(must be "enabled", "disabled", "writable", or "readonly")'
        )
    options = mount.setdefault("BindOptions", {})
    if name := names[value]:
        options[name] = True


def _set_no_copy(mount: Mount, key: str, value: str) -> None:
    _volume_options(mount)["NoCopy"] = _boolean(key, value)


def _set_label(mount: Mount, _key: str, value: str) -> None:
    _set_pair(_volume_options(mount)["Labels"], value)


def _set_driver(mount: Mount, _key: str, value: str) -> None:
    _volume_options(mount)["DriverConfig"]["Name"] = value


def _set_driver_option(mount: Mount, _key: str, value: str) -> None:
    _set_pair(_volume_options(mount)["DriverConfig"].setdefault("Options", {}), value)


def _set_volume_path(mount: Mount, _key: str, value: str) -> None:
    _volume_options(mount)["Subpath"] = value


def _set_image_path(mount: Mount, _key: str, value: str) -> None:
    mount.setdefault("ImageOptions", {})["Subpath"] = value


def _set_size(mount: Mount, key: str, value: str) -> None:
    try:
        size = memory(value)
    except BadValueError:
        raise BadValueError(f"invalid value for {key}: {value}") from None
    mount.setdefault("TmpfsOptions", {})["SizeBytes"] = size


def _set_mode(mount: Mount, key: str, value: str) -> None:
    try:
        mode = int(value, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode < 1 << 32:
        raise BadValueError(f"invalid value for {key}: {value}")
    mount.setdefault("TmpfsOptions", {})["Mode"] = mode


def _volume_options(mount: Mount) -> Mount:
    options: Mount = mount.setdefault("VolumeOptions", {"Labels": {}, "DriverConfig": {}})
    return options


def _set_pair(target: dict[str, str], value: str) -> None:
    name, _, content = value.partition("=")
    if name:
        target[name] = content


_SETTERS: dict[str, Callable[[Mount, str, str], None]] = {
    "type": _set_type,
    **dict.fromkeys(("source", "src"), _set_source),
    **dict.fromkeys(("target", "dst", "destination"), _set_target),
    **dict.fromkeys(("readonly", "ro"), _set_read_only),
    "consistency": _set_consistency,
    "bind-propagation": _set_propagation,
    "bind-nonrecursive": _set_non_recursive,
    "bind-recursive": _set_recursion,
    "bind-create-src": _set_creation,
    "volume-nocopy": _set_no_copy,
    "volume-label": _set_label,
    "volume-driver": _set_driver,
    "volume-opt": _set_driver_option,
    "volume-subpath": _set_volume_path,
    "image-subpath": _set_image_path,
    "tmpfs-size": _set_size,
    "tmpfs-mode": _set_mode,
}

"""``--device`` and ``--gpus``."""

from __future__ import annotations

import os

from knarr.cli.command import CommandError
from knarr.cli.csv import fields
from knarr.cli.flags import BadValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Json = dict[str, Any]


def mappings(texts: Iterable[str]) -> tuple[list[Json], list[Json]]:
    """What ``--device`` asks for: devices of the host, and requests to device drivers (CDI).

    Errors: ``CommandError``.
    """
    devices: list[Json] = []
    requests: list[Json] = []
    for text in texts:
        if _is_cdi(text):
            requests.append({"Driver": "cdi", "DeviceIDs": [text]})
        else:
            devices += _devices(text)
    return devices, requests


def _is_cdi(text: str) -> bool:
    """Whether it is ``vendor/class=name``, as the Container Device Interface names a device."""
    kind, equals, name = text.partition("=")
    vendor, slash, family = kind.partition("/")
    return bool(equals and slash and vendor and family and name) and not text.startswith("/")


def _devices(text: str) -> list[Json]:
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise CommandError(f"bad format for path: {text}")
    source, target, mode = parts[0], "", "rwm"
    if len(parts) == 3:
        target, mode = parts[1], parts[2]
        if not _is_mode(mode):
            raise CommandError(f"bad mode specified: {mode}")
    elif len(parts) == 2:
        target, mode = ("", parts[1]) if _is_mode(parts[1]) else (parts[1], "rwm")
    inside = target or source
    if not inside.startswith("/"):
        raise CommandError(f"{inside} is not an absolute path")
    if not source.endswith("*"):
        return [_mapping(source, inside, mode)]
    if target:
        raise CommandError(f"device with * suffix can't have dst: {text}")
    folder, _, prefix = source[:-1].rpartition("/")
    names = sorted(name for name in os.listdir(folder or "/") if name.startswith(prefix))
    return [_mapping(f"{folder}/{name}", f"{folder}/{name}", mode) for name in names]


def _mapping(source: str, target: str, mode: str) -> Json:
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode}


def _is_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def gpus(text: str) -> Json:
    """The device request of ``--gpus``.

    Errors: ``BadValueError``.
    """
    request: Json = {"Driver": "", "Count": 0, "DeviceIDs": None, "Options": {}}
    capabilities = ["gpu"]
    for field in fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", field
        if key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            capabilities = [*value.split(","), "gpu"]
        elif key == "options":
            request["Options"] = dict(_pair(part) for part in value.split(","))
        else:
            raise BadValueError(f"unexpected key '{key}' in '{field}'")
    request["Capabilities"] = [capabilities]
    if request["DeviceIDs"] is None and not request["Count"]:
        request["Count"] = 1
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise BadValueError(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value

"""``--network NAME`` and ``--network name=NAME,alias=...``, and the endpoints they make.

Source of the keys and the messages: docker's ``--network``.
"""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.cli.csv import fields
from knarr.cli.flags import BadValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.cli.flags import Flags

    Json = dict[str, Any]

_NOT_USER_DEFINED = ("default", "bridge", "host", "none", "")


def parse(text: str) -> Json:
    """One attachment: ``Target`` and, of the rest, what was given; ``BadValueError``."""
    if "=" not in text:
        return {"Target": text}
    attachment: Json = {}
    for field in fields(text):
        name, equals, value = field.partition("=")
        if not equals:
            raise BadValueError(f"invalid field {field}")
        _set(attachment, name.strip().lower(), value.strip().lower(), value.strip(), field)
    if not attachment.get("Target"):
        raise BadValueError("network name/id is not specified")
    return attachment


def _set(attachment: Json, key: str, value: str, verbatim: str, field: str) -> None:
    if key == "name":
        attachment["Target"] = value
    elif key == "alias":
        attachment.setdefault("Aliases", []).append(value)
    elif key == "driver-opt":
        option, equals, content = verbatim.partition("=")
        if not equals:
            raise BadValueError("invalid key value pair format in driver options")
        attachment.setdefault("DriverOpts", {})[option.strip().lower()] = content.strip()
    elif key in ("ip", "ip6"):
        attachment["IPv4Address" if key == "ip" else "IPv6Address"] = value
    elif key == "mac-address":
        attachment["MacAddress"] = value
    elif key == "link-local-ip":
        attachment.setdefault("LinkLocalIPs", []).append(value)
    elif key == "gw-priority":
        attachment["GwPriority"] = _priority(value, field)
    else:
        raise BadValueError(f"invalid field key {key}")


def _priority(value: str, field: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadValueError(f"invalid gw-priority ({value}): invalid syntax in {field}") from None


def mode(attachments: Sequence[Json]) -> str:
    """The ``NetworkMode`` of the host configuration: the first network."""
    return str(attachments[0]["Target"]) if attachments else "default"


def endpoints(attachments: Sequence[Json], flags: Flags) -> Json:
    """The endpoints that need a configuration, by network.

    Errors: ``CommandError`` for options that conflict or that the network cannot have.
    """
    attachments = list(attachments) or [{"Target": "default"}]
    attachments[0] = _with_flags(attachments[0], flags)
    modes = {_is_user_defined(each["Target"]) for each in attachments}
    found: Json = {}
    for attachment in attachments:
        target = attachment["Target"]
        if target in found:
            raise CommandError(f'network "{target}" is specified multiple times')
        found[target] = _endpoint(attachment)
    if len(modes) > 1:
        raise CommandError(
            "conflicting options: "
            "cannot attach both user-defined and non-user-defined network-modes"
        )
    if len(found) == 1 and not any(found.values()):
        return {}
    return found


def _is_user_defined(target: str) -> bool:
    return target not in _NOT_USER_DEFINED and not target.startswith("container:")


def _with_flags(attachment: Json, flags: Flags) -> Json:
    """The first network also gets what the older flags say."""
    merged = dict(attachment)
    for flag, key, other in (
        ("network-alias", "Aliases", "per-network alias"),
        ("link", "Links", "per-network links"),
        ("link-local-ip", "LinkLocalIPs", "per-network link-local IP addresses"),
    ):
        if values := flags.many(flag):
            _refuse_both(merged, key, flag, other)
            merged[key] = values
    for flag, key, other in (
        ("ip", "IPv4Address", "per-network IPv4 address"),
        ("ip6", "IPv6Address", "per-network IPv6 address"),
        ("mac-address", "MacAddress", "per-network MAC address"),
    ):
        if value := flags.text(flag):
            _refuse_both(merged, key, flag, other)
            merged[key] = value
    return merged


def _refuse_both(attachment: Json, key: str, flag: str, other: str) -> None:
    if attachment.get(key):
        raise CommandError(f"conflicting options: cannot specify both --{flag} and {other}")


def _endpoint(attachment: Json) -> Json:
    target = attachment["Target"]
    if not target.strip():
        raise CommandError("no name set for network")
    if not _is_user_defined(target) and attachment.get("Aliases"):
        raise CommandError("network-scoped aliases are only supported for user-defined networks")
    endpoint = {
        key: attachment[key]
        for key in ("Aliases", "DriverOpts", "GwPriority", "MacAddress")
        if attachment.get(key)
    }
    if attachment.get("Links") and _is_user_defined(target):
        endpoint["Links"] = attachment["Links"]
    addresses = {
        key: attachment[key]
        for key in ("IPv4Address", "IPv6Address", "LinkLocalIPs")
        if attachment.get(key)
    }
    if addresses:
        endpoint["IPAMConfig"] = addresses
    return endpoint

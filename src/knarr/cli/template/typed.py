"""Objects as docker's templates see them: not JSON, but Go's types.

Docker fills a template in with values of its types, in which every field exists, and only if that
fails with the JSON. So ``{{if .State.Health}}`` is no mistake where the engine sent no ``Health``,
a list that was sent as null is printed as ``[]``, and an object as its values in braces.
"""

from __future__ import annotations

from knarr.cli.template.errors import MissingFieldError
from knarr.cli.template.gotext import inner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Json = dict[str, Any]


class Struct(dict[str, "Any"]):
    """An object with the fields of its type; as JSON without those that were not sent."""

    def plain(self) -> object:
        """As it was sent."""
        return {key: _plain(value) for key, value in self.items() if not isinstance(value, _Absent)}

    def shown(self) -> str:
        """As ``%v`` prints it."""
        return "{" + " ".join(inner(value) for value in self.values()) + "}"


class NilList(list["Any"]):
    """A list that was sent as null."""

    def plain(self) -> None:
        """As it was sent."""


class NilMap(dict[str, "Any"]):
    """A mapping that was sent as null."""

    def plain(self) -> None:
        """As it was sent."""


class _Absent:
    """A field that was not sent because it is empty."""


class Nil:
    """A pointer to nothing."""

    def __bool__(self) -> bool:
        return False

    def field(self, name: str, arguments: Sequence[object]) -> object:
        """Nothing has no fields."""
        del arguments
        raise MissingFieldError(f"nil pointer evaluating .{name}")

    def plain(self) -> None:
        """As JSON."""

    def shown(self) -> str:
        """As ``%v`` prints it."""
        return "<nil>"


class AbsentNil(Nil, _Absent):
    """A pointer to nothing that was not sent."""


class AbsentList(NilList, _Absent):
    """An empty list that was not sent."""


class AbsentMap(NilMap, _Absent):
    """An empty mapping that was not sent."""


class AbsentText(str, _Absent):
    """An empty text that was not sent."""

    __slots__ = ()


class AbsentNumber(int, _Absent):
    """A zero that was not sent."""


class AbsentTruth(AbsentNumber):
    """A false that was not sent."""

    def shown(self) -> str:
        """As ``%v`` prints it."""
        return "false"


NIL = Nil()
_ABSENT = AbsentNil()
_MAPS = frozenset(
    (
        *("Annotations", "Attributes", "Containers", "Data", "DriverOpts", "ExposedPorts"),
        *("IndexConfigs", "Labels", "Networks", "Options", "PortBindings", "Ports", "Runtimes"),
        *("Services", "Status", "StorageOpt", "Sysctls", "Tmpfs", "Volumes"),
    )
)
_POINTERS = frozenset(
    (
        *("Health", "Healthcheck", "IPAMConfig", "Init", "MemorySwappiness", "OomKillDisable"),
        *("PidsLimit", "SizeRootFs", "SizeRw", "StopTimeout", "UsageData"),
    )
)
_IMAGE_CONFIG: Json = {
    "User": AbsentText(),
    "ExposedPorts": AbsentMap(),
    "Env": AbsentList(),
    "Entrypoint": AbsentList(),
    "Cmd": AbsentList(),
    "Volumes": AbsentMap(),
    "WorkingDir": AbsentText(),
    "Labels": AbsentMap(),
    "StopSignal": AbsentText(),
    "ArgsEscaped": AbsentTruth(),
    "Healthcheck": _ABSENT,
    "OnBuild": AbsentList(),
    "Shell": AbsentList(),
}
_FIELDS: dict[str, dict[str, Json]] = {
    "HostConfig": {  # a container
        "": {"SizeRw": _ABSENT, "SizeRootFs": _ABSENT, "ImageManifestDescriptor": _ABSENT},
        "State": {"Health": _ABSENT},
        "Config": {
            "ExposedPorts": AbsentMap(),
            "Healthcheck": _ABSENT,
            "ArgsEscaped": AbsentTruth(),
            "NetworkDisabled": AbsentTruth(),
            "MacAddress": AbsentText(),
            "StopSignal": AbsentText(),
            "StopTimeout": _ABSENT,
            "Shell": AbsentList(),
        },
        "HostConfig": {
            "Annotations": AbsentMap(),
            "Init": _ABSENT,
            "KernelMemory": AbsentNumber(),
            "KernelMemoryTCP": AbsentNumber(),
            "Mounts": AbsentList(),
            "Runtime": AbsentText(),
            "StorageOpt": AbsentMap(),
            "Sysctls": AbsentMap(),
            "Tmpfs": AbsentMap(),
        },
    },
    "RootFS": {  # an image
        "": {
            "Parent": AbsentText(),
            "Comment": AbsentText(),
            "DockerVersion": AbsentText(),
            "Author": AbsentText(),
            "Container": AbsentText(),
            "Variant": AbsentText(),
            "OsVersion": AbsentText(),
            "VirtualSize": AbsentNumber(),
            "ContainerConfig": _ABSENT,
            "Descriptor": _ABSENT,
            "Manifests": AbsentList(),
        },
        "Config": _IMAGE_CONFIG,
    },
    "Mountpoint": {  # a volume
        "": {"CreatedAt": AbsentText(), "Status": AbsentMap(), "UsageData": _ABSENT},
    },
    "IPAM": {"": {"Peers": AbsentList(), "Services": AbsentMap()}},  # a network
}


def typed(value: Json) -> Struct:
    """The object with all fields of its kind, which is told by a field that only it has."""
    made = _struct(value)
    for mark, tables in _FIELDS.items():
        if mark not in made:
            continue
        for place, defaults in tables.items():
            holder = made[place] if place else made
            if isinstance(holder, Struct):
                for name, default in defaults.items():
                    holder.setdefault(name, default)
        break
    return made


def _struct(value: Json) -> Struct:
    return Struct({key: _value(key, each) for key, each in value.items()})


def _value(key: str, value: object) -> object:
    if value is None:
        return NIL if key in _POINTERS else NilMap() if _is_map(key) else NilList()
    if isinstance(value, dict):
        if _is_map(key):
            return {name: _value("", each) for name, each in value.items()}
        return _struct(value)
    if isinstance(value, list):
        return [_value("", each) for each in value]
    return value


def _is_map(key: str) -> bool:
    return key in _MAPS


def _plain(value: object) -> object:
    whole = getattr(value, "plain", None)
    if whole is not None:
        return whole()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value

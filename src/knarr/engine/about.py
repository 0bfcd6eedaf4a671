"""What an event says about its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers.record import MountKind
from knarr.network import modes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from knarr.containers.record import MountRecord, Record
    from knarr.images.image import Image

#: A volume: every one is on this host.
VOLUME: Mapping[str, str] = {"driver": "local"}


def container(record: Record, **more: str) -> dict[str, str]:
    """The attributes of an event of a container: labels, image, name, and what is special."""
    return {
        **(record.config.labels or {}),
        "image": record.image_name,
        "name": record.name,
        **more,
    }


def image(image: Image, name: str) -> dict[str, str]:
    """The attributes of an event of an image: its labels, and the name or id that it is about."""
    return {**(image.config.labels or {}), "name": name}


def mounted(record: Record) -> Iterator[tuple[str, dict[str, str]]]:
    """The volumes that a container has taken, and what is told of each."""
    for mount in _volumes(record):
        yield (
            mount.name,
            {
                **VOLUME,
                "container": record.id,
                "destination": mount.target,
                "read/write": "false" if mount.read_only else "true",
                "propagation": mount.propagation,
            },
        )


def unmounted(record: Record) -> Iterator[tuple[str, dict[str, str]]]:
    """The volumes that a container has let go, and what is told of each."""
    for mount in _volumes(record):
        yield mount.name, {**VOLUME, "container": record.id}


def connected(record: Record) -> Iterator[tuple[str, dict[str, str]]]:
    """The networks that a container joins or leaves, by id, and what is told of each."""
    for name, endpoint in record.endpoints.items():
        if driver := modes.DRIVERS.get(name):
            yield endpoint.network_id, {"container": record.id, "name": name, "type": driver}


def _volumes(record: Record) -> Iterator[MountRecord]:
    return (mount for mount in record.mounts if mount.kind is MountKind.VOLUME)

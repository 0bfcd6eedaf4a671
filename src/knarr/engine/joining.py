"""Namespaces of other containers that a container joins: ``--network container:X`` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers import spec
from knarr.errors import ConflictError

if TYPE_CHECKING:
    from knarr.containers.record import Record

    from .live import ContainerStore, LiveContainer

_PREFIX = "container:"


def of(record: Record, containers: ContainerStore) -> spec.Join:
    """The namespaces as paths; raises ``ConflictError`` when their owner does not run."""
    host = record.host_config
    return spec.Join(
        network=_path(host.network_mode, "net", "network", containers),
        pid=_path(host.pid_mode, "pid", "PID", containers),
    )


def owner(mode: str, containers: ContainerStore) -> LiveContainer | None:
    """The container that ``container:X`` names, or None for another mode."""
    return containers.get(mode.removeprefix(_PREFIX)) if mode.startswith(_PREFIX) else None


def _path(mode: str, namespace: str, name: str, containers: ContainerStore) -> str:
    live = owner(mode, containers)
    if live is None:
        return ""
    if not live.record.is_running:
        raise ConflictError(f"cannot join {name} namespace of a non running container: {live.id}")
    return f"/proc/{live.record.state.pid}/ns/{namespace}"

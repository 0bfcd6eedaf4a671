"""Namespaces of other containers that a container joins: ``--network container:X`` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers import spec
from knarr.containers.sharing import OTHER
from knarr.errors import ConflictError, InvalidArgumentError

from .parts import OWN_RUNTIME

if TYPE_CHECKING:
    from knarr.containers.record import Record

    from .live import ContainerStore, LiveContainer


def of(record: Record, containers: ContainerStore) -> spec.Join:
    """The namespaces as paths; raises ``KnarrError`` when their owner does not run."""
    host = record.host_config
    network, pid, ipc = (
        owner(mode, containers) for mode in (host.network_mode, host.pid_mode, host.ipc_mode)
    )
    if network is not None and not network.record.is_running:
        raise ConflictError(
            f"cannot join network namespace of a non running container: {network.id}"
        )
    if pid is not None:
        _require_running(pid, "PID")
    if ipc is not None:
        _require_running(ipc, "IPC")
        if ipc.record.host_config.ipc_mode in {"private", "none"}:
            raise InvalidArgumentError(
                f"failed to join IPC namespace: container {ipc.id}: non-shareable IPC (hint: use "
                "IpcMode:shareable for the donor container)"
            )
    return spec.Join(
        network=_path(network, "net"),
        pid=_path(pid, "pid"),
        ipc=_path(ipc, "ipc"),
        shm=_path(ipc, "mnt"),
        files_of=files_owner(record, containers),
        volumes=_volumes(record, containers),
    )


def _volumes(record: Record, containers: ContainerStore) -> dict[str, tuple[str, str]]:
    """The volumes in memory that a running container shows already: all shall see the same.

    Of the other kinds every container mounts the same thing, of a tmpfs it would be another one.
    """
    wanted = [mount for mount in record.mounts if mount.fstype == "tmpfs"]
    if not wanted or record.host_config.runtime != OWN_RUNTIME:
        return {}
    shown = {
        mount.name: (_path(live, "mnt"), mount.target)
        for live in containers
        for mount in live.record.mounts
        if mount.fstype == "tmpfs"
        and live.id != record.id
        and live.record.is_running
        and live.record.host_config.runtime == OWN_RUNTIME
    }
    return {mount.target: shown[mount.name] for mount in wanted if mount.name in shown}


def owner(mode: str, containers: ContainerStore) -> LiveContainer | None:
    """The container that ``container:X`` names, or None for another mode."""
    return containers.get(mode.removeprefix(OTHER)) if mode.startswith(OTHER) else None


def has_to_wait(record: Record, containers: ContainerStore) -> bool:
    """Whether one whose namespaces it joins does not run yet, but will be started."""
    host = record.host_config
    owners = [
        containers.find(mode.removeprefix(OTHER))
        for mode in (host.network_mode, host.pid_mode, host.ipc_mode)
        if mode.startswith(OTHER)
    ]
    return any(live is not None and live.is_restarting for live in owners)


def files_owner(record: Record, containers: ContainerStore) -> str:
    """The id of the container whose hosts, hostname and resolv.conf this one has.

    Whoever shares a network shares them, too; an owner may itself share those of another.
    """
    seen = {record.id}
    while record.host_config.network_mode.startswith(OTHER):
        live = containers.find(record.host_config.network_mode.removeprefix(OTHER))
        if live is None or live.id in seen:
            break
        seen.add(live.id)
        record = live.record
    return record.id


def _require_running(live: LiveContainer, name: str) -> None:
    if not live.record.is_running:
        raise InvalidArgumentError(
            f"failed to join {name} namespace: container {live.id} is not running"
        )


def _path(live: LiveContainer | None, namespace: str) -> str:
    return f"/proc/{live.record.state.pid}/ns/{namespace}" if live is not None else ""

"""``inspect``: a record in the shape of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api import containers as api
from knarr.api import timestamps
from knarr.api.containers import ContainerInspect, ContainerState, DriverData, Port
from knarr.api.message import ZERO_TIME
from knarr.api.mounts import MountPoint
from knarr.api.networks import NetworkSettings
from knarr.containers import files
from knarr.containers.record import MountKind, Status
from knarr.network import modes

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.api.networks import EndpointSettings
    from knarr.containers.health import Health
    from knarr.containers.record import MountRecord, Record

    from .live import LiveContainer


def inspect(
    live: LiveContainer, *, containers_root: Path, files_owner: str, graph: DriverData
) -> ContainerInspect:
    """Everything about a container, sizes excepted."""
    record = live.record
    directory = files.ContainerDirectory(containers_root, record.id)
    managed = files.ContainerDirectory(containers_root, files_owner).managed
    begun = record.state.started_ns > 0
    running_execs = [one.id for one in live.execs.values() if one.running]
    return ContainerInspect(
        id=record.id,
        created=timestamps.rfc3339(record.created_ns),
        path=record.path,
        args=list(record.args),
        state=state(record),
        image=record.image_id,
        resolv_conf_path=managed.resolv_conf if begun else "",
        hostname_path=managed.hostname if begun else "",
        hosts_path=managed.hosts if begun else "",
        log_path=str(directory.log) if begun and _is_logged(record) else "",
        name=f"/{record.name}",
        restart_count=record.state.restart_count,
        driver=graph.name,
        platform=record.platform,
        exec_ids=running_execs or None,
        host_config=record.host_config,
        graph_driver=graph,
        mounts=mount_points(record),
        config=record.config,
        network_settings=_network_settings(record),
    )


def state(record: Record) -> ContainerState:
    """The state in the API's words; a restarting container counts as running, as in Docker."""
    now = record.state
    return ContainerState(
        status=now.status.value,
        running=record.is_running or now.status is Status.RESTARTING,
        paused=now.status is Status.PAUSED,
        restarting=now.status is Status.RESTARTING,
        oom_killed=now.oom_killed,
        dead=now.status is Status.DEAD,
        pid=now.pid,
        exit_code=now.exit_code,
        error=now.error,
        started_at=_time(now.started_ns),
        finished_at=_time(now.finished_ns),
        health=_health(now.health),
    )


def _health(health: Health | None) -> api.Health | None:
    if health is None:
        return None
    return api.Health(
        status=health.status.value,
        failing_streak=health.failing_streak,
        log=[
            api.HealthcheckResult(
                start=timestamps.rfc3339(result.start_ns),
                end=timestamps.rfc3339(result.end_ns),
                exit_code=result.exit_code,
                output=result.output,
            )
            for result in health.log
        ],
    )


def _time(moment_ns: int) -> str:
    return timestamps.rfc3339(moment_ns) if moment_ns else ZERO_TIME


def _is_logged(record: Record) -> bool:
    """Whether there is a file that other programs can read, as Docker understands ``LogPath``."""
    return record.host_config.log_config.type == "json-file"


def mount_points(record: Record) -> list[MountPoint]:
    """The mounts that were asked for; those of ``--tmpfs`` are left out, as in Docker."""
    return [
        _mount_point(mount)
        for mount in record.mounts
        if mount.kind is not MountKind.TMPFS or mount.specified
    ]


def _mount_point(mount: MountRecord) -> MountPoint:
    return MountPoint(
        type=mount.kind.value,
        name=mount.name,
        source=mount.source,
        destination=mount.target,
        driver="local" if mount.kind is MountKind.VOLUME else "",
        mode=mount.mode,
        rw=not mount.read_only,
        propagation=mount.propagation,
    )


def exposed(record: Record) -> list[Port]:
    """The ports that image or request expose while it runs; none is published yet."""
    if not _has_ports(record):
        return []
    ports = []
    for text in record.config.exposed_ports or {}:
        number, _, protocol = text.partition("/")
        if number.isdecimal():
            ports.append(Port(private_port=int(number), type=protocol or "tcp"))
    return ports


def _has_ports(record: Record) -> bool:
    return record.is_running and modes.has_ports(record.host_config.network_mode)


def endpoints(record: Record) -> dict[str, EndpointSettings]:
    """The endpoints, with an id while the container runs."""
    if not record.is_running:
        return dict(record.endpoints)
    return {
        name: msgspec.structs.replace(endpoint, endpoint_id=record.id)
        for name, endpoint in record.endpoints.items()
    }


def _network_settings(record: Record) -> NetworkSettings:
    own = record.is_running and record.host_config.network_mode != "host"
    return NetworkSettings(
        sandbox_id=record.id if record.is_running else "",
        sandbox_key=f"/proc/{record.state.pid}/ns/net" if own else "",
        ports=dict.fromkeys(record.config.exposed_ports or {}) if _has_ports(record) else {},
        networks=endpoints(record),
    )

"""Containers: what is created, listed, inspected, waited for and removed.

Times are RFC 3339 strings with nanoseconds in UTC in ``inspect``, Unix seconds in ``list``.

Source: Engine API v1.51, definitions ``ContainerConfig``, ``ContainerSummary``,
``ContainerInspectResponse``, ``ContainerState``.
"""

from __future__ import annotations

import msgspec

from knarr.api.host_config import HostConfig
from knarr.api.message import ZERO_TIME, Message, always, null
from knarr.api.mounts import MountPoint
from knarr.api.networks import EndpointSettings, NetworkingConfig, NetworkSettings


class Empty(Message, frozen=True, kw_only=True):
    """``{}``: the value of the maps that Docker uses as sets (ExposedPorts, Volumes)."""


class HealthConfig(Message, frozen=True, kw_only=True):
    """How to probe health; durations in nanoseconds, 0 means inherit."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Message, frozen=True, kw_only=True):
    """The part of a container's configuration that is the same on every host."""

    hostname: str = always(str)
    domainname: str = always(str)
    user: str = always(str)
    attach_stdin: bool = always(bool)
    attach_stdout: bool = always(bool)
    attach_stderr: bool = always(bool)
    exposed_ports: dict[str, Empty] | None = None
    tty: bool = always(bool)
    open_stdin: bool = always(bool)
    stdin_once: bool = always(bool)
    env: list[str] | None = always(null)
    cmd: list[str] | None = always(null)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = always(str)
    volumes: dict[str, Empty] | None = always(null)
    working_dir: str = always(str)
    entrypoint: list[str] | None = always(null)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = always(null)
    labels: dict[str, str] | None = always(null)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class ContainerCreateRequest(ContainerConfig, frozen=True, kw_only=True):
    """``POST /containers/create``: the configuration, flat, and beside it the two others."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None

    def config(self) -> ContainerConfig:
        """The configuration without what stands beside it."""
        return ContainerConfig(
            **{name: getattr(self, name) for name in ContainerConfig.__struct_fields__}
        )


class ContainerCreateResponse(Message, frozen=True, kw_only=True):
    """The id of the new container, and what the user should know."""

    id: str
    warnings: list[str] = always(list)


class UpdateResponse(Message, frozen=True, kw_only=True):
    """``POST /containers/{id}/update``."""

    warnings: list[str] | None = always(null)


class HealthcheckResult(Message, frozen=True, kw_only=True):
    """One run of a health probe."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(Message, frozen=True, kw_only=True):
    """``status``: none, starting, healthy, unhealthy."""

    status: str
    failing_streak: int = always(int)
    log: list[HealthcheckResult] = always(list)


class ContainerState(Message, frozen=True, kw_only=True):
    """``status``: created, running, paused, restarting, removing, exited, dead."""

    status: str
    running: bool = always(bool)
    paused: bool = always(bool)
    restarting: bool = always(bool)
    oom_killed: bool = always(bool, name="OOMKilled")
    dead: bool = always(bool)
    pid: int = always(int)
    exit_code: int = always(int)
    error: str = always(str)
    started_at: str = always(lambda: ZERO_TIME)
    finished_at: str = always(lambda: ZERO_TIME)
    health: Health | None = None


class DriverData(Message, frozen=True, kw_only=True):
    """Where the storage driver keeps the root filesystem."""

    data: dict[str, str] | None = always(null)
    name: str


class ContainerInspect(Message, frozen=True, kw_only=True):
    """``GET /containers/{id}/json``. Sizes in bytes, only when asked for."""

    id: str
    created: str
    path: str
    args: list[str]
    state: ContainerState
    image: str
    resolv_conf_path: str = always(str)
    hostname_path: str = always(str)
    hosts_path: str = always(str)
    log_path: str = always(str)
    name: str
    restart_count: int = always(int)
    driver: str
    platform: str = always(lambda: "linux")
    mount_label: str = always(str)
    process_label: str = always(str)
    app_armor_profile: str = always(str)
    exec_ids: list[str] | None = always(null, name="ExecIDs")
    host_config: HostConfig
    graph_driver: DriverData
    size_rw: int | None = None
    size_root_fs: int | None = None
    mounts: list[MountPoint] = always(list)
    config: ContainerConfig
    network_settings: NetworkSettings


class Port(Message, frozen=True, kw_only=True):
    """A port of a container; ``public_port`` 0 means not published."""

    ip: str = msgspec.field(default="", name="IP")
    private_port: int
    public_port: int = 0
    type: str = always(lambda: "tcp")


class SummaryHostConfig(Message, frozen=True, kw_only=True):
    """The part of HostConfig that ``ps`` shows."""

    network_mode: str = ""
    annotations: dict[str, str] | None = None


class SummaryNetworkSettings(Message, frozen=True, kw_only=True):
    """The part of NetworkSettings that ``ps`` shows."""

    networks: dict[str, EndpointSettings] = always(dict)


class ContainerSummary(Message, frozen=True, kw_only=True):
    """An entry of ``GET /containers/json``. Names begin with ``/``."""

    id: str
    names: list[str]
    image: str
    image_id: str = msgspec.field(name="ImageID")
    command: str
    created: int
    ports: list[Port] = always(list)
    size_rw: int = 0
    size_root_fs: int = 0
    labels: dict[str, str] = always(dict)
    state: str
    status: str
    host_config: SummaryHostConfig = always(SummaryHostConfig)
    network_settings: SummaryNetworkSettings = always(SummaryNetworkSettings)
    mounts: list[MountPoint] = always(list)


class WaitError(Message, frozen=True, kw_only=True):
    """Why waiting failed though the container has ended."""

    message: str


class WaitResponse(Message, frozen=True, kw_only=True):
    """``POST /containers/{id}/wait``."""

    error: WaitError | None = None
    status_code: int


class TopResponse(Message, frozen=True, kw_only=True):
    """``GET /containers/{id}/top``: ps(1) titles and one list of columns a process."""

    processes: list[list[str]]
    titles: list[str]


class FilesystemChange(Message, frozen=True, kw_only=True):
    """``GET /containers/{id}/changes``: kind 0 modified, 1 added, 2 deleted."""

    kind: int
    path: str


class ContainerPrune(Message, frozen=True, kw_only=True):
    """``POST /containers/prune``: what was deleted, and the bytes that came free."""

    containers_deleted: list[str] | None = always(null)
    space_reclaimed: int = always(int)

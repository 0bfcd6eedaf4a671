"""The engine itself: version, facts about the host, disk usage.

Source: Engine API v1.51, definitions ``SystemVersion``, ``SystemInfo``, ``/system/df``.
"""

from __future__ import annotations

import msgspec

from knarr.api.containers import ContainerSummary
from knarr.api.images import ImageSummary
from knarr.api.message import Message, always, null
from knarr.api.volumes import Volume

#: The newest version of the API that knarr speaks, and the oldest.
API_VERSION = "1.51"
MIN_API_VERSION = "1.24"


class Platform(Message, frozen=True, kw_only=True):
    """The name of the product."""

    name: str


class Component(Message, frozen=True, kw_only=True):
    """A program that the engine is made of."""

    name: str
    version: str
    details: dict[str, str] | None = None


class Version(Message, frozen=True, kw_only=True):
    """``GET /version``."""

    platform: Platform
    components: list[Component] = always(list)
    version: str
    api_version: str = always(lambda: API_VERSION)
    min_api_version: str = always(lambda: MIN_API_VERSION, name="MinAPIVersion")
    git_commit: str = always(str)
    go_version: str = always(str)
    os: str
    arch: str
    kernel_version: str = ""
    experimental: bool = False
    build_time: str = ""


class Plugins(Message, frozen=True, kw_only=True):
    """Names of drivers by kind."""

    volume: list[str] = always(list)
    network: list[str] = always(list)
    authorization: list[str] | None = always(null)
    log: list[str] = always(list)


class Commit(Message, frozen=True, kw_only=True):
    """The version of a helper program."""

    id: str = always(str, name="ID")


class Runtime(Message, frozen=True, kw_only=True, rename="camel"):
    """An OCI runtime that a container may name."""

    path: str = ""
    runtime_args: list[str] | None = None
    status: dict[str, str] | None = None


class IndexInfo(Message, frozen=True, kw_only=True):
    """A registry's settings."""

    name: str
    mirrors: list[str] = always(list)
    secure: bool = always(bool)
    official: bool = always(bool)


class RegistryConfig(Message, frozen=True, kw_only=True):
    """All registry settings."""

    insecure_registry_cidrs: list[str] = always(list, name="InsecureRegistryCIDRs")
    index_configs: dict[str, IndexInfo] = always(dict)
    mirrors: list[str] = always(list)


class Swarm(Message, frozen=True, kw_only=True):
    """knarr has no swarm: always inactive."""

    node_id: str = always(str, name="NodeID")
    node_addr: str = always(str)
    local_node_state: str = always(lambda: "inactive")
    control_available: bool = always(bool)
    error: str = always(str)
    remote_managers: list[str] | None = always(null)


class SystemInfo(Message, frozen=True, kw_only=True):
    """``GET /info``."""

    id: str = msgspec.field(name="ID")
    containers: int = always(int)
    containers_running: int = always(int)
    containers_paused: int = always(int)
    containers_stopped: int = always(int)
    images: int = always(int)
    driver: str
    driver_status: list[list[str]] = always(list)
    plugins: Plugins = always(Plugins)
    memory_limit: bool = always(bool)
    swap_limit: bool = always(bool)
    cpu_cfs_period: bool = always(bool)
    cpu_cfs_quota: bool = always(bool)
    cpu_shares: bool = always(bool, name="CPUShares")
    cpu_set: bool = always(bool, name="CPUSet")
    pids_limit: bool = always(bool)
    ipv4_forwarding: bool = always(bool, name="IPv4Forwarding")
    debug: bool = always(bool)
    n_fd: int = always(int, name="NFd")
    oom_kill_disable: bool = always(bool)
    n_goroutines: int = always(int)
    system_time: str = always(str)
    logging_driver: str = always(lambda: "json-file")
    cgroup_driver: str = always(lambda: "cgroupfs")
    cgroup_version: str = ""
    n_events_listener: int = always(int)
    kernel_version: str = always(str)
    operating_system: str = always(str)
    os_version: str = always(str, name="OSVersion")
    os_type: str = always(lambda: "linux", name="OSType")
    architecture: str = always(str)
    index_server_address: str = always(lambda: "https://index.docker.io/v1/")
    registry_config: RegistryConfig = always(RegistryConfig)
    ncpu: int = always(int, name="NCPU")
    mem_total: int = always(int)
    generic_resources: list[str] | None = always(null)
    docker_root_dir: str = always(str)
    http_proxy: str = always(str)
    https_proxy: str = always(str)
    no_proxy: str = always(str)
    name: str = always(str)
    labels: list[str] = always(list)
    experimental_build: bool = always(bool)
    server_version: str
    runtimes: dict[str, Runtime] = always(dict)
    default_runtime: str = always(str)
    swarm: Swarm = always(Swarm)
    live_restore_enabled: bool = always(bool)
    isolation: str = always(str)
    init_binary: str = always(str)
    containerd_commit: Commit = always(Commit)
    runc_commit: Commit = always(Commit)
    init_commit: Commit = always(Commit)
    security_options: list[str] = always(list)
    cdi_spec_dirs: list[str] = always(list, name="CDISpecDirs")
    warnings: list[str] | None = always(null)


class BuildCache(Message, frozen=True, kw_only=True):
    """An entry of the build cache."""

    id: str = msgspec.field(name="ID")
    type: str = always(str)
    description: str = always(str)
    in_use: bool = always(bool)
    shared: bool = always(bool)
    size: int = always(int)
    created_at: str = always(str)
    last_used_at: str | None = always(null)
    usage_count: int = always(int)


class DiskUsage(Message, frozen=True, kw_only=True):
    """``GET /system/df``; bytes. A kind that was not asked for is null."""

    layers_size: int = always(int)
    images: list[ImageSummary] | None = always(null)
    containers: list[ContainerSummary] | None = always(null)
    volumes: list[Volume] | None = always(null)
    build_cache: list[BuildCache] | None = always(null)


class ErrorResponse(Message, frozen=True, kw_only=True, rename="lower"):
    """Every error of the API."""

    message: str

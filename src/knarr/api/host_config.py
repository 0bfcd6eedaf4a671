"""The part of a container's configuration that depends on the host.

Units: sizes in bytes, CPU periods and quotas in microseconds, ``nano_cpus`` in billionths of a CPU,
rates per second. ``None`` of the pointer fields means "not given". Of ``masked_paths`` and
``readonly_paths`` None means Docker's default list and an empty list means none.

Source: Engine API v1.51, definitions ``HostConfig`` and ``Resources``.
"""

from __future__ import annotations

import msgspec

from knarr.api.message import Message, always, null
from knarr.api.mounts import Mount
from knarr.api.networks import PortBinding


class LogConfig(Message, frozen=True, kw_only=True):
    """Log driver and its options; an empty type means the engine's default."""

    type: str = always(str)
    config: dict[str, str] | None = always(null)


class RestartPolicy(Message, frozen=True, kw_only=True):
    """``name``: "", no, always, unless-stopped, on-failure (with a largest number of retries)."""

    name: str = always(str)
    maximum_retry_count: int = always(int)


class WeightDevice(Message, frozen=True, kw_only=True):
    """A block device's relative weight, 10 to 1000."""

    path: str
    weight: int


class ThrottleDevice(Message, frozen=True, kw_only=True):
    """A block device's limit, in bytes or operations per second."""

    path: str
    rate: int


class DeviceMapping(Message, frozen=True, kw_only=True):
    """A host device that appears in the container; permissions out of ``rwm``."""

    path_on_host: str = always(str)
    path_in_container: str = always(str)
    cgroup_permissions: str = always(str)


class DeviceRequest(Message, frozen=True, kw_only=True):
    """``--gpus`` and CDI devices."""

    driver: str = always(str)
    count: int = always(int)
    device_ids: list[str] | None = always(null, name="DeviceIDs")
    capabilities: list[list[str]] | None = always(null)
    options: dict[str, str] | None = always(null)


class Ulimit(Message, frozen=True, kw_only=True):
    """One resource limit (``nofile``); -1 is unlimited."""

    name: str
    hard: int = always(int)
    soft: int = always(int)


class Resources(Message, frozen=True, kw_only=True):
    """Limits, as in a create request and in an update request."""

    cpu_shares: int = always(int)
    memory: int = always(int)
    nano_cpus: int = always(int)
    cgroup_parent: str = always(str)
    blkio_weight: int = always(int)
    blkio_weight_device: list[WeightDevice] | None = always(null)
    blkio_device_read_bps: list[ThrottleDevice] | None = always(null)
    blkio_device_write_bps: list[ThrottleDevice] | None = always(null)
    blkio_device_read_iops: list[ThrottleDevice] | None = always(null, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = always(null, name="BlkioDeviceWriteIOps")
    cpu_period: int = always(int)
    cpu_quota: int = always(int)
    cpu_realtime_period: int = always(int)
    cpu_realtime_runtime: int = always(int)
    cpuset_cpus: str = always(str)
    cpuset_mems: str = always(str)
    devices: list[DeviceMapping] | None = always(null)
    device_cgroup_rules: list[str] | None = always(null)
    device_requests: list[DeviceRequest] | None = always(null)
    kernel_memory: int = 0
    kernel_memory_tcp: int = msgspec.field(default=0, name="KernelMemoryTCP")
    memory_reservation: int = always(int)
    memory_swap: int = always(int)
    memory_swappiness: int | None = always(null)
    oom_kill_disable: bool | None = always(null)
    pids_limit: int | None = always(null)
    ulimits: list[Ulimit] | None = always(null)
    cpu_count: int = always(int)
    cpu_percent: int = always(int)
    io_maximum_iops: int = always(int, name="IOMaximumIOps")
    io_maximum_bandwidth: int = always(int, name="IOMaximumBandwidth")


class HostConfig(Resources, frozen=True, kw_only=True):
    """Everything of ``HostConfig``; on the wire the resources stand flat beside the rest."""

    binds: list[str] | None = always(null)
    container_id_file: str = always(str, name="ContainerIDFile")
    log_config: LogConfig = always(LogConfig)
    network_mode: str = always(str)
    port_bindings: dict[str, list[PortBinding] | None] | None = always(null)
    restart_policy: RestartPolicy = always(RestartPolicy)
    auto_remove: bool = always(bool)
    volume_driver: str = always(str)
    volumes_from: list[str] | None = always(null)
    console_size: tuple[int, int] = always(lambda: (0, 0))
    annotations: dict[str, str] | None = None
    cap_add: list[str] | None = always(null)
    cap_drop: list[str] | None = always(null)
    cgroupns_mode: str = always(str)
    dns: list[str] | None = always(null)
    dns_options: list[str] | None = always(null)
    dns_search: list[str] | None = always(null)
    extra_hosts: list[str] | None = always(null)
    group_add: list[str] | None = always(null)
    ipc_mode: str = always(str)
    cgroup: str = always(str)
    links: list[str] | None = always(null)
    oom_score_adj: int = always(int)
    pid_mode: str = always(str)
    privileged: bool = always(bool)
    publish_all_ports: bool = always(bool)
    readonly_rootfs: bool = always(bool)
    security_opt: list[str] | None = always(null)
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = always(str, name="UTSMode")
    userns_mode: str = always(str)
    shm_size: int = always(int)
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = always(str)
    mounts: list[Mount] | None = None
    masked_paths: list[str] | None = always(null)
    readonly_paths: list[str] | None = always(null)
    init: bool | None = None


class ContainerUpdateRequest(Resources, frozen=True, kw_only=True):
    """``POST /containers/{id}/update``: new limits and, if given, a new restart policy.

    ``annotations`` is not Docker's: what knarr itself reads of them can be changed.
    """

    restart_policy: RestartPolicy | None = None
    annotations: dict[str, str] | None = None

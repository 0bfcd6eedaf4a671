"""OCI resources as settings of cgroup v1 controllers. Pure.

Sources: kernel Documentation/admin-guide/cgroup-v1/ (memory, cpusets, pids, blkio-controller),
Documentation/scheduler/sched-bwc.rst, OCI runtime-spec config-linux.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime.cgroups.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.runtime_spec import BlockIO, Cpu, Memory, Pids


def memory(wanted: Memory, *, raise_swap_first: bool = False) -> list[Setting]:
    """The settings of the memory controller, in an order that the kernel accepts.

    At every moment memory plus swap must be at least memory. A new cgroup is unlimited, so memory
    comes first; when both limits of a living cgroup are raised, ``raise_swap_first`` turns it.
    """
    limit, swap = wanted.get("limit", 0), wanted.get("swap", 0)
    check_swap(limit, swap)
    if limit == -1 and swap == 0:
        swap = -1  # memory could not become unlimited below a limit of memory plus swap
    settings = []
    if limit:
        settings.append(Setting("memory", "memory.limit_in_bytes", str(limit)))
    if swap:
        settings.append(
            Setting("memory", "memory.memsw.limit_in_bytes", str(swap), optional=swap < 0)
        )
    if raise_swap_first or limit == -1:
        settings.reverse()
    if reservation := wanted.get("reservation", 0):
        settings.append(Setting("memory", "memory.soft_limit_in_bytes", str(reservation)))
    if (swappiness := wanted.get("swappiness")) is not None and swappiness != -1:
        if not 0 <= swappiness <= 100:
            raise InvalidArgumentError(
                f"invalid value: {swappiness}, valid memory swappiness range is 0-100"
            )
        settings.append(Setting("memory", "memory.swappiness", str(swappiness)))
    if wanted.get("disableOOMKiller"):
        settings.append(Setting("memory", "memory.oom_control", "1"))
    return settings


def check_swap(limit: int, swap: int) -> None:
    """Raise ``InvalidArgumentError`` when memory plus swap is less than memory."""
    if swap > 0 and limit <= 0:
        raise InvalidArgumentError("a limit of memory plus swap needs a limit of memory")
    if 0 < swap < limit:
        raise InvalidArgumentError(
            "minimum memoryswap limit should be larger than memory limit, see usage"
        )


def cpu(wanted: Cpu) -> list[Setting]:
    """The settings of the cpu controller."""
    settings = [
        Setting("cpu", file, str(value))
        for file, value in (
            ("cpu.shares", wanted.get("shares", 0)),
            ("cpu.cfs_period_us", wanted.get("period", 0)),
            ("cpu.cfs_quota_us", wanted.get("quota", 0)),
            ("cpu.cfs_burst_us", wanted.get("burst", 0)),
            ("cpu.rt_period_us", wanted.get("realtimePeriod", 0)),
            ("cpu.rt_runtime_us", wanted.get("realtimeRuntime", 0)),
        )
        if value
    ]
    if (idle := wanted.get("idle")) is not None:
        settings.append(Setting("cpu", "cpu.idle", str(idle)))
    return settings


def cpuset(wanted: Cpu) -> list[Setting]:
    """The settings of the cpuset controller."""
    return [
        Setting("cpuset", f"cpuset.{key}", value)
        for key, value in (("cpus", wanted.get("cpus", "")), ("mems", wanted.get("mems", "")))
        if value
    ]


def pids(wanted: Pids) -> list[Setting]:
    """The setting of the pids controller; the same file on v1 and v2."""
    if "limit" not in wanted:
        return []
    limit = wanted["limit"]
    return [Setting("pids", "pids.max", str(limit) if limit > 0 else "max", optional=limit <= 0)]


def blkio(wanted: BlockIO) -> list[Setting]:
    """The settings of the blkio controller; weights go to BFQ or, on old kernels, to CFQ."""
    settings = []
    if weight := wanted.get("weight", 0):
        settings.append(_weight("weight", str(weight)))
    for device in wanted.get("weightDevice", ()):
        if own := device.get("weight", 0):
            value = f"{device['major']}:{device['minor']} {own}"
            settings.append(_weight("weight_device", value))
    settings.extend(
        Setting("blkio", f"blkio.throttle.{file}", f"{where} {rate}")
        for file, where, rate in rates(
            wanted, "read_bps_device", "write_bps_device", "read_iops_device", "write_iops_device"
        )
    )
    return settings


def rates(
    wanted: BlockIO, read_bps: str, write_bps: str, read_iops: str, write_iops: str
) -> Iterable[tuple[str, str, int]]:
    """Each rate as its kind (named by the caller), ``major:minor``, and bytes or operations/s."""
    for name, devices in (
        (read_bps, wanted.get("throttleReadBpsDevice", ())),
        (write_bps, wanted.get("throttleWriteBpsDevice", ())),
        (read_iops, wanted.get("throttleReadIOPSDevice", ())),
        (write_iops, wanted.get("throttleWriteIOPSDevice", ())),
    ):
        for device in devices:
            yield name, f"{device['major']}:{device['minor']}", device["rate"]


def _weight(file: str, value: str) -> Setting:
    return Setting("blkio", f"blkio.bfq.{file}", value, Setting("blkio", f"blkio.{file}", value))

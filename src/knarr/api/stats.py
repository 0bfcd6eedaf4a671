"""Statistics of containers: what one uses, sampled once a second.

Times are nanoseconds, sizes bytes. A container that does not run gives zeros: a ``StatsResponse``
with nothing but its name and id.

Source: Engine API v1.51, definition ``ContainerStatsResponse`` and those that it names.
"""

from __future__ import annotations

from knarr.api.message import ZERO_TIME, Message, always, null


class PidsStats(Message, frozen=True, kw_only=True, rename=None):
    """How many tasks; ``limit`` 0 is none."""

    current: int = 0
    limit: int = 0


class BlkioStatEntry(Message, frozen=True, kw_only=True, rename=None):
    """One count of one block device; ``op`` is ``Read`` (v1) or ``read`` (v2), and so on."""

    major: int
    minor: int
    op: str
    value: int


class BlkioStats(Message, frozen=True, kw_only=True, rename=None):
    """Block I/O. Where only v2 counts, all but the first are null."""

    io_service_bytes_recursive: list[BlkioStatEntry] | None = always(null)
    io_serviced_recursive: list[BlkioStatEntry] | None = always(null)
    io_queue_recursive: list[BlkioStatEntry] | None = always(null)
    io_service_time_recursive: list[BlkioStatEntry] | None = always(null)
    io_wait_time_recursive: list[BlkioStatEntry] | None = always(null)
    io_merged_recursive: list[BlkioStatEntry] | None = always(null)
    io_time_recursive: list[BlkioStatEntry] | None = always(null)
    sectors_recursive: list[BlkioStatEntry] | None = always(null)


class CPUUsage(Message, frozen=True, kw_only=True, rename=None):
    """Time used; ``percpu_usage`` is v1's only."""

    total_usage: int = always(int)
    percpu_usage: list[int] | None = None
    usage_in_kernelmode: int = always(int)
    usage_in_usermode: int = always(int)


class ThrottlingData(Message, frozen=True, kw_only=True, rename=None):
    """How often and for how long the CPU quota held the container back."""

    periods: int = always(int)
    throttled_periods: int = always(int)
    throttled_time: int = always(int)


class CPUStats(Message, frozen=True, kw_only=True, rename=None):
    """``system_cpu_usage`` is the time of the whole host, idle time included."""

    cpu_usage: CPUUsage = always(CPUUsage)
    system_cpu_usage: int = 0
    online_cpus: int = 0
    throttling_data: ThrottlingData = always(ThrottlingData)


class MemoryStats(Message, frozen=True, kw_only=True, rename=None):
    """``stats`` has the kernel's names, which differ between v1 and v2."""

    usage: int = 0
    max_usage: int = 0
    stats: dict[str, int] | None = None
    failcnt: int = 0
    limit: int = 0


class NetworkStats(Message, frozen=True, kw_only=True, rename=None):
    """One network interface, as the container sees it."""

    rx_bytes: int = always(int)
    rx_packets: int = always(int)
    rx_errors: int = always(int)
    rx_dropped: int = always(int)
    tx_bytes: int = always(int)
    tx_packets: int = always(int)
    tx_errors: int = always(int)
    tx_dropped: int = always(int)


class StorageStats(Message, frozen=True, kw_only=True, rename=None):
    """Windows only: always empty."""


class StatsResponse(Message, frozen=True, kw_only=True, rename=None):
    """``GET /containers/{id}/stats``: one sample, and the CPU part of the one before it."""

    name: str
    id: str
    read: str = always(lambda: ZERO_TIME)
    preread: str = always(lambda: ZERO_TIME)
    pids_stats: PidsStats = always(PidsStats)
    blkio_stats: BlkioStats = always(BlkioStats)
    num_procs: int = always(int)
    storage_stats: StorageStats = always(StorageStats)
    cpu_stats: CPUStats = always(CPUStats)
    precpu_stats: CPUStats = always(CPUStats)
    memory_stats: MemoryStats = always(MemoryStats)
    networks: dict[str, NetworkStats] | None = None

"""One sample of what a running container uses, in Docker's fields. Blocks: it reads files.

Source: moby ``daemon/stats_unix.go`` for which field means what on v1 and v2.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.api import timestamps
from knarr.api.stats import (
    BlkioStatEntry,
    BlkioStats,
    CPUStats,
    CPUUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    StatsResponse,
    ThrottlingData,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.cgroups.stats import Io, Stats

_SECOND = 1_000_000_000
_OWN_V1 = (
    "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault "
    "inactive_anon active_anon inactive_file active_file unevictable"
)
_LIMITS_V1 = ("hierarchical_memory_limit", "hierarchical_memsw_limit")
_MEMORY_V1 = (*_OWN_V1.split(), *(f"total_{name}" for name in _OWN_V1.split()), *_LIMITS_V1)
_MEMORY_V2 = (
    "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp "
    "inactive_anon active_anon inactive_file active_file unevictable slab_reclaimable "
    "slab_unreclaimable pgfault pgmajfault workingset_refault workingset_activate "
    "workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed "
    "thp_fault_alloc thp_collapse_alloc"
)
#: Since Linux 5.9 the kernel counts these for anonymous memory and files apart.
_SPLIT = {
    name: (f"{name}_anon", f"{name}_file") for name in ("workingset_refault", "workingset_activate")
}
#: What the kernel makes in every network namespace, some when a module for tunnels is loaded.
_TUNNELS = "tunl0 sit0 ip6tnl0 gre0 gretap0 erspan0 ip_vti0 ip6_vti0 ip6gre0"
_NOT_OURS = frozenset(("lo", *_TUNNELS.split()))


def sample(name: str, container_id: str, cgroup: Cgroup, pid: int, memory: int) -> StatsResponse:
    """What it uses now; ``memory`` is the host's, which counts as the limit where there is none."""
    used = cgroup.stats()
    host, cpus = _host_cpu()
    limit = min(used.memory_limit or memory, memory)
    return StatsResponse(
        name=f"/{name}",
        id=container_id,
        read=timestamps.rfc3339(time.time_ns()),
        pids_stats=PidsStats(current=used.pids, limit=used.pids_limit or 0),
        blkio_stats=_blkio(used),
        cpu_stats=CPUStats(
            cpu_usage=CPUUsage(
                total_usage=used.cpu_total,
                percpu_usage=list(used.cpu_each) or None,
                usage_in_kernelmode=used.cpu_system,
                usage_in_usermode=used.cpu_user,
            ),
            system_cpu_usage=host,
            online_cpus=cpus,
            throttling_data=ThrottlingData(
                periods=used.periods,
                throttled_periods=used.throttled_periods,
                throttled_time=used.throttled_time,
            ),
        ),
        memory_stats=MemoryStats(
            usage=used.memory_usage,
            # v2 keeps a peak only since Linux 5.19, and Docker does not tell it.
            max_usage=0 if used.unified_memory else used.memory_peak,
            stats=_memory(used),
            failcnt=used.memory_failures,
            limit=limit,
        ),
        networks=networks(pid) or None,
    )


def _memory(used: Stats) -> dict[str, int]:
    found = used.memory_stat
    if not used.unified_memory:
        return {name: found.get(name, 0) for name in _MEMORY_V1}
    return {
        name: found[name]
        if name in found
        else sum(found.get(part, 0) for part in _SPLIT.get(name, ()))
        for name in _MEMORY_V2.split()
    }


def _blkio(used: Stats) -> BlkioStats:
    if not used.cpu_each:  # v2 counts: Docker tells bytes only
        return BlkioStats(io_service_bytes_recursive=_entries(used.io_bytes) or None)
    return BlkioStats(
        io_service_bytes_recursive=_entries(used.io_bytes),
        io_serviced_recursive=_entries(used.io_operations),
        # What only the CFQ scheduler counted, which Linux 5.0 removed.
        io_queue_recursive=[],
        io_service_time_recursive=[],
        io_wait_time_recursive=[],
        io_merged_recursive=[],
        io_time_recursive=[],
        sectors_recursive=[],
    )


def _entries(counts: Iterable[Io]) -> list[BlkioStatEntry]:
    return [BlkioStatEntry(**count._asdict()) for count in counts]


def _host_cpu() -> tuple[int, int]:
    """The time of all CPUs, idle time included, and how many are online; proc_stat(5)."""
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = sum(map(int, lines[0].split()[1:8]))
    cpus = sum(line.startswith("cpu") for line in lines) - 1
    return ticks * _SECOND // os.sysconf("SC_CLK_TCK"), cpus


def networks(pid: int) -> dict[str, NetworkStats]:
    """The interfaces of a process's network namespace by name; none where it is the host's."""
    try:
        if Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net"):
            return {}
        text = Path(f"/proc/{pid}/net/dev").read_text()
    except OSError:
        return {}  # it has ended
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        counts = list(map(int, rest.split()))
        if name.strip() not in _NOT_OURS and len(counts) >= 12:
            found[name.strip()] = NetworkStats(
                rx_bytes=counts[0],
                rx_packets=counts[1],
                rx_errors=counts[2],
                rx_dropped=counts[3],
                tx_bytes=counts[8],
                tx_packets=counts[9],
                tx_errors=counts[10],
                tx_dropped=counts[11],
            )
    return found

"""What a cgroup uses, in one unit whatever the version of its controllers.

Law: reading changes nothing and never fails: a file that is missing counts as zero or, for a
limit, as None. Sources: kernel Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime.cgroups import files

if TYPE_CHECKING:
    from collections.abc import Callable

_UNLIMITED = 1 << 62  # v1 says "unlimited" with the largest page-aligned number below 2**63


class Io(NamedTuple):
    """One count of one block device; bytes or operations.

    ``op`` is ``Read``, ``Write``, ``Sync``, ``Async``, ``Discard`` or ``Total`` where v1 counts, as
    the kernel calls them, and ``read`` or ``write`` where v2 does.
    """

    major: int
    minor: int
    op: str
    value: int


class Stats(NamedTuple):
    """Times are nanoseconds, sizes bytes; a limit of None is none.

    ``memory_stat`` holds the kernel's own names, which differ between v1 and v2 (``unified_memory``
    says which). ``memory_peak`` is 0 where the kernel does not keep it. ``memory_failures`` counts
    how often the limit was hit (v1) or the OOM killer was called (v2), as Docker's ``failcnt``.
    ``cpu_each`` is the time on each CPU, which only v1 counts.
    """

    cpu_each: tuple[int, ...]
    cpu_total: int
    cpu_user: int
    cpu_system: int
    periods: int
    throttled_periods: int
    throttled_time: int
    memory_usage: int
    memory_peak: int
    memory_limit: int | None
    memory_failures: int
    memory_stat: dict[str, int]
    unified_memory: bool
    pids: int
    pids_limit: int | None
    io_bytes: tuple[Io, ...]
    io_operations: tuple[Io, ...]


def read(directory: Callable[[str], str], *, unified: str) -> Stats:
    """The statistics of the cgroup whose directory for a controller is ``directory(controller)``.

    ``unified`` is its v2 directory or "".
    """
    memory, pids = directory("memory"), directory("pids")
    cpu = _cpu_v1(directory) if directory("cpuacct") else _cpu_v2(unified)
    modern = bool(memory) and memory == unified
    used = _memory_v2(memory) if modern else _memory_v1(memory)
    io = _io_v2(unified) if directory("io") else _io_v1(directory("blkio"))
    return Stats(
        *cpu, *used, modern, _number(f"{pids}/pids.current"), _limit(f"{pids}/pids.max"), *io
    )


_Cpu = tuple[tuple[int, ...], int, int, int, int, int, int]


def _cpu_v1(directory: Callable[[str], str]) -> _Cpu:
    accounts = directory("cpuacct")
    stat = files.table(files.find(f"{directory('cpu')}/cpu.stat") or "")
    each = files.find(f"{accounts}/cpuacct.usage_percpu") or ""
    return (
        tuple(map(int, each.split())),
        _number(f"{accounts}/cpuacct.usage"),
        _number(f"{accounts}/cpuacct.usage_user"),
        _number(f"{accounts}/cpuacct.usage_sys"),
        stat.get("nr_periods", 0),
        stat.get("nr_throttled", 0),
        stat.get("throttled_time", 0),
    )


def _cpu_v2(unified: str) -> _Cpu:
    stat = files.table(files.find(f"{unified}/cpu.stat") or "")
    return (
        (),
        stat.get("usage_usec", 0) * 1000,
        stat.get("user_usec", 0) * 1000,
        stat.get("system_usec", 0) * 1000,
        stat.get("nr_periods", 0),
        stat.get("nr_throttled", 0),
        stat.get("throttled_usec", 0) * 1000,
    )


def _memory_v1(memory: str) -> tuple[int, int, int | None, int, dict[str, int]]:
    return (
        _number(f"{memory}/memory.usage_in_bytes"),
        _number(f"{memory}/memory.max_usage_in_bytes"),
        _limit(f"{memory}/memory.limit_in_bytes"),
        _number(f"{memory}/memory.failcnt"),
        files.table(files.find(f"{memory}/memory.stat") or ""),
    )


def _memory_v2(memory: str) -> tuple[int, int, int | None, int, dict[str, int]]:
    events = files.table(files.find(f"{memory}/memory.events") or "")
    return (
        _number(f"{memory}/memory.current"),
        _number(f"{memory}/memory.peak"),
        _limit(f"{memory}/memory.max"),
        events.get("oom", 0),
        files.table(files.find(f"{memory}/memory.stat") or ""),
    )


def _io_v1(blkio: str) -> tuple[tuple[Io, ...], tuple[Io, ...]]:
    # The throttling layer counts all I/O, limited or not, whatever the scheduler below it.
    prefix = f"{blkio}/blkio.throttle.io_"
    return (
        tuple(_io_table(files.find(f"{prefix}service_bytes_recursive") or "")),
        tuple(_io_table(files.find(f"{prefix}serviced_recursive") or "")),
    )


def _io_table(text: str) -> list[Io]:
    """Lines like ``8:0 Read 4096``; the sum over all devices at the end is left out."""
    counts = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        op, _, value = rest.partition(" ")
        major, colon, minor = device.partition(":")
        if colon and value:
            counts.append(Io(int(major), int(minor), op, int(value)))
    return counts


def _io_v2(unified: str) -> tuple[tuple[Io, ...], tuple[Io, ...]]:
    """Lines like ``8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0``."""
    sizes: list[Io] = []
    operations: list[Io] = []
    for line in (files.find(f"{unified}/io.stat") or "").splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for op in ("read", "write"):
            for key, counts in (("bytes", sizes), ("ios", operations)):
                if value := values.get(op[0] + key):
                    counts.append(Io(int(major), int(minor), op, int(value)))
    return tuple(sizes), tuple(operations)


def _number(path: str) -> int:
    text = files.find(path)
    return int(text) if text and text.lstrip("-").isdigit() else 0


def _limit(path: str) -> int | None:
    number = _number(path)
    return number if 0 < number < _UNLIMITED else None

"""The columns of ``knarr stats``: what docker computes from two samples.

Source: docker ``cli/command/container/stats_helpers.go`` and ``formatter_stats.go``.
"""

from __future__ import annotations

from knarr.cli.output import View
from knarr.cli.quantities import human_memory, human_size3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Json = dict[str, Any]

_NOTHING = "--"
_SHORT_ID = 12


def view_of(*, whole: bool) -> View:
    """The columns. ``whole``: ids are not shortened."""
    columns: dict[str, Callable[[Json], object]] = {
        "BlockIO": _known(_block_io),
        "CPUPerc": _known(_cpu),
        "Container": lambda each: each["Container"],
        "ID": lambda each: _identity(each, whole=whole),
        "MemPerc": _known(_memory_share),
        "MemUsage": _known(_memory, f"{_NOTHING} / {_NOTHING}"),
        "Name": lambda each: ((each["Sample"] or {}).get("name") or "")[1:] or _NOTHING,
        "NetIO": _known(_network),
        "PIDs": _known(lambda sample: str(sample["pids_stats"].get("current", 0))),
    }
    default = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
    return View("container.statsContext", columns, _HEADERS, default)


_HEADERS = {
    "BlockIO": "BLOCK I/O",
    "CPUPerc": "CPU %",
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Name": "NAME",
    "NetIO": "NET I/O",
    "PIDs": "PIDS",
}


def _known(column: Callable[[Json], str], otherwise: str = _NOTHING) -> Callable[[Json], str]:
    """The column of a sample; dashes where there is none that is fresh."""
    return lambda each: (
        column(each["Sample"]) if each["Sample"] and not each["Stale"] else otherwise
    )


def _identity(each: Json, *, whole: bool) -> str:
    identity = str((each["Sample"] or {}).get("id") or "")
    return identity if whole else identity[:_SHORT_ID]


def _cpu(sample: Json) -> str:
    now, before = sample["cpu_stats"], sample["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    host = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ())
    return _percent(used / host * cpus if used > 0 and host > 0 else 0.0)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def used_memory(sample: Json) -> int:
    """What is used without what the kernel could drop at once."""
    known = sample["memory_stats"]
    usage = int(known.get("usage", 0))
    stats = known.get("stats") or {}
    for name in ("total_inactive_file", "inactive_file"):  # v1, v2
        if name in stats and stats[name] < usage:
            return usage - int(stats[name])
    return usage


def _memory(sample: Json) -> str:
    limit = sample["memory_stats"].get("limit", 0)
    return f"{human_memory(used_memory(sample))} / {human_memory(limit)}"


def _memory_share(sample: Json) -> str:
    limit = sample["memory_stats"].get("limit", 0)
    return _percent(used_memory(sample) / limit if limit else 0.0)


def _network(sample: Json) -> str:
    every = (sample.get("networks") or {}).values()
    received, sent = (sum(each[key] for each in every) for key in ("rx_bytes", "tx_bytes"))
    return f"{human_size3(received)} / {human_size3(sent)}"


def _block_io(sample: Json) -> str:
    entries = sample["blkio_stats"].get("io_service_bytes_recursive") or ()
    read, written = (
        sum(each["value"] for each in entries if each["op"][:1].lower() == first)
        for first in ("r", "w")
    )
    return f"{human_size3(read)} / {human_size3(written)}"

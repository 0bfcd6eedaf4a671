"""Limits of memory, CPU, processes and block I/O: which are possible and which contradict.

Source: moby ``daemon/daemon_unix.go`` (verifyPlatformContainerResources) for rules and words.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import msgspec

from knarr.api import ulimits
from knarr.containers import facts as host_facts
from knarr.containers.spec.resources import parse_device_rule
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from knarr.api.host_config import HostConfig, Resources
    from knarr.containers.facts import HostFacts

_LEAST_MEMORY = 6 * 1024 * 1024
_NANO = 1_000_000_000
_SIZE = re.compile(r"(\d{1,12})(?:\.\d+)? ?([kKmMgGtT]?)[iI]?[bB]?")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}

_UNSUPPORTED = "Your kernel does not support {} or the cgroup is not mounted. {}"


def check(wanted: HostConfig, facts: HostFacts) -> tuple[HostConfig, list[str]]:
    """The configuration with the limits that this kernel can keep, and a warning for each other.

    Raises ``InvalidArgumentError`` for values that are out of range or contradict each other.
    """
    _memory(wanted)
    _cpu(wanted, facts)
    _cpusets(wanted, facts)
    _block_io(wanted)
    _ulimits(wanted)
    _realtime(wanted, facts)
    _devices(wanted)
    if any(character in wanted.cgroup_parent for character in "\0\n"):
        raise InvalidArgumentError(f'invalid cgroup parent "{wanted.cgroup_parent}"')
    for rule in wanted.device_cgroup_rules or ():
        parse_device_rule(rule)
    warnings: list[str] = []
    changes: dict[str, object] = {}
    _drop_memory(wanted, facts, changes, warnings)
    _drop_others(wanted, facts, changes, warnings)
    if wanted.cpu_percent:
        changes["cpu_percent"] = 0
        warnings.append("linux does not support CPU percent. Percent discarded.")
    return msgspec.structs.replace(wanted, **changes), warnings


def cgroup_below(parent: str, name: str) -> str:
    """The path of the cgroup ``name`` in ``parent``, which cannot lead out of the hierarchy."""
    clean = posixpath.normpath("/" + parent.lstrip("/")).lstrip("/")
    return f"/{clean}/{name}" if clean else f"/{name}"


def parse_size(text: str) -> int:
    """Bytes of a size as ``20m``; raises ``InvalidArgumentError``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidArgumentError(f"invalid size: '{text}'")
    return int(match[1]) * _UNITS[match[2].lower()]


def _memory(wanted: Resources) -> None:
    if 0 < wanted.memory < _LEAST_MEMORY:
        raise InvalidArgumentError("Minimum memory limit allowed is 6MB")
    if wanted.memory > 0 and 0 < wanted.memory_swap < wanted.memory:
        raise InvalidArgumentError(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if wanted.memory == 0 and wanted.memory_swap > 0:
        raise InvalidArgumentError(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    swappiness = wanted.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidArgumentError(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )
    if 0 < wanted.memory_reservation < _LEAST_MEMORY:
        raise InvalidArgumentError("Minimum memory reservation allowed is 6MB")
    if 0 < wanted.memory < wanted.memory_reservation:
        raise InvalidArgumentError(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if wanted.memory < 0 or wanted.memory_reservation < 0 or wanted.memory_swap < -1:
        raise InvalidArgumentError("memory limits cannot be negative")


def _cpu(wanted: Resources, facts: HostFacts) -> None:
    if wanted.nano_cpus:
        for given, name in ((wanted.cpu_period, "Period"), (wanted.cpu_quota, "Quota")):
            if given:
                raise InvalidArgumentError(
                    f"Conflicting options: Nano CPUs and CPU {name} cannot both be set"
                )
        if not 0 < wanted.nano_cpus <= facts.cpus * _NANO:
            raise InvalidArgumentError(
                f"range of CPUs is from 0.01 to {facts.cpus}.00, as there are only {facts.cpus} "
                "CPUs available"
            )
    if wanted.cpu_shares < 0:
        raise InvalidArgumentError(
            f"invalid CPU shares ({wanted.cpu_shares}): value must be a positive integer"
        )
    if wanted.cpu_period and not 1000 <= wanted.cpu_period <= 1_000_000:
        raise InvalidArgumentError(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < wanted.cpu_quota < 1000:
        raise InvalidArgumentError("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _realtime(wanted: Resources, facts: HostFacts) -> None:
    period, runtime = wanted.cpu_realtime_period, wanted.cpu_realtime_runtime
    if (period or runtime) and not facts.cgroups.cpu_realtime:
        raise InvalidArgumentError("kernel does not support CPU real-time scheduler")
    if period and runtime and runtime > period:
        raise InvalidArgumentError(
            "cpu real-time runtime cannot be higher than cpu real-time period"
        )


def _devices(wanted: Resources) -> None:
    for device in wanted.devices or ():
        mode = device.cgroup_permissions
        if not set(mode) <= set("rwm") or len(set(mode)) != len(mode):
            raise InvalidArgumentError(f"bad mode specified: {mode}")


def _cpusets(wanted: Resources, facts: HostFacts) -> None:
    for text, available, what, plural in (
        (wanted.cpuset_cpus, facts.cpu_set, "cpuset cpus", "CPUs"),
        (wanted.cpuset_mems, facts.memory_nodes, "cpuset mems", "memory nodes"),
    ):
        if not text:
            continue
        try:
            numbers = host_facts.parse_set(text)
        except InvalidArgumentError:
            raise InvalidArgumentError(
                f"Invalid value {text} for {what}: invalid format: {text}"
            ) from None
        if not numbers <= available:
            raise InvalidArgumentError(
                f"Requested {plural} are not available - requested {text}, "
                f"available: {_as_list(available)}"
            )


def _as_list(numbers: frozenset[int]) -> str:
    ordered = sorted(numbers)
    if ordered and ordered == list(range(ordered[0], ordered[-1] + 1)) and len(ordered) > 1:
        return f"{ordered[0]}-{ordered[-1]}"
    return ",".join(map(str, ordered))


def _block_io(wanted: Resources) -> None:
    weights = [wanted.blkio_weight, *(item.weight for item in wanted.blkio_weight_device or ())]
    if any(weight and not 10 <= weight <= 1000 for weight in weights):
        raise InvalidArgumentError("Range of blkio weight is from 10 to 1000")
    if wanted.io_maximum_bandwidth or wanted.io_maximum_iops:
        raise InvalidArgumentError("Invalid QoS settings: Linux does not support IO maximums")
    for items in (
        wanted.blkio_device_read_bps,
        wanted.blkio_device_write_bps,
        wanted.blkio_device_read_iops,
        wanted.blkio_device_write_iops,
    ):
        if any(item.rate < 0 for item in items or ()):
            raise InvalidArgumentError("block I/O rates cannot be negative")


def _ulimits(wanted: Resources) -> None:
    for limit in wanted.ulimits or ():
        ulimits.check(limit.name, limit.soft, limit.hard)


def _drop_memory(
    wanted: HostConfig, facts: HostFacts, changes: dict[str, object], warnings: list[str]
) -> None:
    support = facts.cgroups
    if wanted.memory > 0 and not support.memory:
        changes.update(memory=0, memory_swap=-1)
        warnings.append(_UNSUPPORTED.format("memory limit capabilities", "Limitation discarded."))
    elif wanted.memory > 0 and wanted.memory_swap != -1 and not support.swap:
        changes["memory_swap"] = -1
        warnings.append(
            _UNSUPPORTED.format("swap limit capabilities", "Memory limited without swap.")
        )
    if wanted.kernel_memory:
        changes["kernel_memory"] = 0
        warnings.append(
            "Specifying a kernel memory limit is deprecated and will be removed in a future "
            "release."
        )
    if wanted.kernel_memory_tcp:
        changes["kernel_memory_tcp"] = 0
        warnings.append(
            _UNSUPPORTED.format("kernel memory TCP limit capabilities", "Limitation discarded.")
        )
    if wanted.memory_reservation and not support.memory:
        changes["memory_reservation"] = 0
        warnings.append(_UNSUPPORTED.format("memory soft limit", "Limitation discarded."))
    if wanted.oom_kill_disable and not support.oom_kill_disable:
        changes["oom_kill_disable"] = None
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
    elif wanted.oom_kill_disable and not wanted.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can "
            "result in the system running out of resources."
        )
    if wanted.memory_swappiness not in {None, -1} and facts.layout.mode == "unified":
        changes["memory_swappiness"] = None
        warnings.append(
            "Your kernel does not support memory swappiness capabilities. Memory swappiness "
            "discarded."
        )


def _drop_others(
    wanted: HostConfig, facts: HostFacts, changes: dict[str, object], warnings: list[str]
) -> None:
    support = facts.cgroups
    for given, supported, fields, what, consequence in (
        (wanted.pids_limit, support.pids, ("pids_limit",), "PIDs limit", "PIDs limit discarded."),
        (wanted.cpu_shares, support.cpu_shares, ("cpu_shares",), "CPU shares", "Shares discarded."),
        (
            wanted.nano_cpus or wanted.cpu_quota or wanted.cpu_period,
            support.cpu_quota,
            ("nano_cpus", "cpu_quota", "cpu_period"),
            "CPU CFS scheduler",
            "CPU quota and period discarded.",
        ),
        (
            wanted.blkio_weight,
            support.blkio_weight,
            ("blkio_weight",),
            "Block I/O weight",
            "Weight discarded.",
        ),
    ):
        if given and not supported:
            changes.update((name, None if name == "pids_limit" else 0) for name in fields)
            warnings.append(_UNSUPPORTED.format(what, consequence))
    if (wanted.cpuset_cpus or wanted.cpuset_mems) and not support.cpuset:
        changes.update(cpuset_cpus="", cpuset_mems="")
        warnings.append(_UNSUPPORTED.format("cpuset", "Cpuset discarded."))

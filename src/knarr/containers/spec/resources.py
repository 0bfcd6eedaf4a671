"""The limits of a container, as its cgroup knows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from knarr.api import host_config
    from knarr.oci.runtime_spec import (
        BlockIO,
        Cpu,
        DeviceRule,
        Memory,
        Resources,
        ThrottleDevice,
    )

    from .inputs import SpecInputs

_NANO = 1_000_000_000
_CFS_PERIOD = 100_000
_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")

#: Character devices that every container may use: null zero full random urandom tty, ptmx, pts.
_STANDARD_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))


def resources(inputs: SpecInputs) -> Resources:
    """All limits and the device rules."""
    host = inputs.record.host_config
    wanted = limits(host, inputs.block_devices)
    wanted["devices"] = list(_device_rules(inputs))
    return wanted


def limits(host: host_config.Resources, numbers: Mapping[str, tuple[int, int]]) -> Resources:
    """The limits alone; only what was asked for is in them. Also for ``update``."""
    found: Resources = {}
    if memory := _memory(host):
        found["memory"] = memory
    if cpu := _cpu(host):
        found["cpu"] = cpu
    if host.pids_limit is not None:
        found["pids"] = {"limit": host.pids_limit if host.pids_limit > 0 else -1}
    if block := _block_io(host, numbers):
        found["blockIO"] = block
    return found


def _memory(host: host_config.Resources) -> Memory:
    memory: Memory = {}
    if host.memory > 0:
        memory["limit"] = host.memory
    if host.memory_reservation > 0:
        memory["reservation"] = host.memory_reservation
    if host.memory_swap:
        memory["swap"] = host.memory_swap
    if host.memory_swappiness not in {None, -1}:
        memory["swappiness"] = host.memory_swappiness or 0
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(host: host_config.Resources) -> Cpu:
    cpu: Cpu = {}
    if host.cpu_shares:
        cpu["shares"] = host.cpu_shares
    if host.nano_cpus > 0:
        cpu["period"] = _CFS_PERIOD
        cpu["quota"] = host.nano_cpus * _CFS_PERIOD // _NANO
    if host.cpu_period:
        cpu["period"] = host.cpu_period
    if host.cpu_quota:
        cpu["quota"] = host.cpu_quota
    if host.cpu_realtime_period:
        cpu["realtimePeriod"] = host.cpu_realtime_period
    if host.cpu_realtime_runtime:
        cpu["realtimeRuntime"] = host.cpu_realtime_runtime
    if host.cpuset_cpus:
        cpu["cpus"] = host.cpuset_cpus
    if host.cpuset_mems:
        cpu["mems"] = host.cpuset_mems
    return cpu


def _block_io(host: host_config.Resources, numbers: Mapping[str, tuple[int, int]]) -> BlockIO:
    block: BlockIO = {}
    if host.blkio_weight:
        block["weight"] = host.blkio_weight
    if host.blkio_weight_device:
        block["weightDevice"] = [
            {"major": numbers[item.path][0], "minor": numbers[item.path][1], "weight": item.weight}
            for item in host.blkio_weight_device
        ]
    if host.blkio_device_read_bps:
        block["throttleReadBpsDevice"] = _rates(host.blkio_device_read_bps, numbers)
    if host.blkio_device_write_bps:
        block["throttleWriteBpsDevice"] = _rates(host.blkio_device_write_bps, numbers)
    if host.blkio_device_read_iops:
        block["throttleReadIOPSDevice"] = _rates(host.blkio_device_read_iops, numbers)
    if host.blkio_device_write_iops:
        block["throttleWriteIOPSDevice"] = _rates(host.blkio_device_write_iops, numbers)
    return block


def _rates(
    items: Sequence[host_config.ThrottleDevice], numbers: Mapping[str, tuple[int, int]]
) -> list[ThrottleDevice]:
    return [
        {"major": numbers[item.path][0], "minor": numbers[item.path][1], "rate": item.rate}
        for item in items
    ]


def _device_rules(inputs: SpecInputs) -> Iterable[DeviceRule]:
    """Deny all, let nodes be made, allow the standard devices and what was asked for."""
    host = inputs.record.host_config
    if host.privileged:
        yield {"allow": True, "access": "rwm"}
        return
    yield {"allow": False, "access": "rwm"}
    yield {"allow": True, "type": "c", "access": "m"}
    yield {"allow": True, "type": "b", "access": "m"}
    for major, minor in _STANDARD_DEVICES:
        rule: DeviceRule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        if minor is not None:
            rule["minor"] = minor
        yield rule
    for device in inputs.devices:
        yield {
            "allow": True,
            "type": device.node["type"],
            "major": device.node["major"],
            "minor": device.node["minor"],
            "access": device.access,
        }
    for text in host.device_cgroup_rules or ():
        yield parse_device_rule(text)


def parse_device_rule(text: str) -> DeviceRule:
    """A ``--device-cgroup-rule`` as ``c 1:3 mr``."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgumentError(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    rule: DeviceRule = {"allow": True, "type": kind, "access": access}
    if major != "*":
        rule["major"] = int(major)
    if minor != "*":
        rule["minor"] = int(minor)
    return rule

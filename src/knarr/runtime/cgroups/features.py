"""Which limits this host can keep, found by making a cgroup and looking at its files.

Law: the root cgroup has few files of its own (no weights, no ``memory.max``), so that looking there
misleads; the probe is a child, and is gone when ``features`` returns.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime.cgroups import device_filter, tree

if TYPE_CHECKING:
    from knarr.runtime.cgroups.layout import Layout

_serial = itertools.count()


class Features(NamedTuple):
    """What can be limited; the words are those of Docker's ``info``."""

    memory: bool
    swap: bool
    reservation: bool
    swappiness: bool
    oom_kill_disable: bool
    cpu_shares: bool
    cpu_quota: bool
    cpu_realtime: bool
    cpuset: bool
    pids: bool
    blkio_weight: bool
    blkio_rates: bool
    devices: bool
    freezer: bool


def features(layout: Layout) -> Features:
    """Look what a container of this host can be limited in; takes about a millisecond.

    Raises ``KnarrError`` where no cgroup can be made (no root, a read-only mount).
    """
    path = f"/knarr-probe-{os.getpid()}-{next(_serial)}"
    mounts = dict.fromkeys((layout.unified, *layout.legacy.values()))
    mounts.pop("", None)
    try:
        for mount in mounts:
            tree.make(mount, path)
        if layout.controllers:
            tree.enable(layout.unified, path, layout.controllers, frozenset())
        return _look({name for mount in mounts for name in os.listdir(mount + path)})
    finally:
        for mount in mounts:
            tree.remove(mount + path, time.monotonic())


def _look(files: set[str]) -> Features:
    def has(*names: str) -> bool:
        return not files.isdisjoint(names)

    return Features(
        memory=has("memory.limit_in_bytes", "memory.max"),
        swap=has("memory.memsw.limit_in_bytes", "memory.swap.max"),
        reservation=has("memory.soft_limit_in_bytes", "memory.low"),
        swappiness=has("memory.swappiness"),
        oom_kill_disable=has("memory.oom_control"),
        cpu_shares=has("cpu.shares", "cpu.weight"),
        cpu_quota=has("cpu.cfs_quota_us", "cpu.max"),
        cpu_realtime=has("cpu.rt_runtime_us"),
        cpuset=has("cpuset.cpus"),
        pids=has("pids.max"),
        blkio_weight=has("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight"),
        blkio_rates=has("blkio.throttle.read_bps_device", "io.max"),
        devices=has("devices.allow") or (has("cgroup.events") and device_filter.usable()),
        freezer=has("freezer.state", "cgroup.freeze"),
    )

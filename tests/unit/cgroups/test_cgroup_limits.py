"""OCI resources as settings: values, order, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime.cgroups import Cgroup, Layout, limits, v1, v2

NAMES = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
LEGACY = Layout("", frozenset(), {name: f"/cg/{name}" for name in NAMES})
UNIFIED = Layout("/cg", frozenset({"cpu", "cpuset", "io", "memory", "pids"}), {})
HYBRID = Layout("/cg/unified", frozenset(), LEGACY.legacy)


def written(resources: Any, layout: Layout) -> list[tuple[str, str]]:
    return [(each.file, each.value) for each in limits.settings(resources, layout)]


def test_memory_on_v1() -> None:
    memory = {
        "limit": 100,
        "swap": 300,
        "reservation": 50,
        "swappiness": 0,
        "disableOOMKiller": True,
    }
    assert written({"memory": memory}, LEGACY) == [
        ("memory.limit_in_bytes", "100"),
        ("memory.memsw.limit_in_bytes", "300"),
        ("memory.soft_limit_in_bytes", "50"),
        ("memory.swappiness", "0"),
        ("memory.oom_control", "1"),
    ]


def test_memory_on_v2_limits_swap_alone() -> None:
    memory = {"limit": 100, "swap": 300, "reservation": 50, "swappiness": 60}
    assert written({"memory": memory}, UNIFIED) == [
        ("memory.swap.max", "200"),
        ("memory.max", "100"),
        ("memory.low", "50"),
    ]


def test_raising_both_limits_of_v1_writes_swap_first() -> None:
    memory: Any = {"memory": {"limit": 100, "swap": 300}}
    files = [each.file for each in limits.settings(memory, LEGACY, raise_swap_first=True)]
    assert files == ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]


@pytest.mark.parametrize("layout", [LEGACY, UNIFIED, HYBRID])
@pytest.mark.parametrize("memory", [{"limit": 200, "swap": 100}, {"swap": 100}])
def test_swap_below_memory_is_refused(layout: Layout, memory: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError):
        written({"memory": memory}, layout)


def test_no_swap_at_all_needs_no_swap_accounting() -> None:
    (swap, _) = v2.memory({"limit": 100, "swap": 100})
    assert (swap.value, swap.optional) == ("0", True)
    (_, unlimited) = v1.memory({"limit": 100, "swap": -1})
    assert (unlimited.value, unlimited.optional) == ("-1", True)
    (_, limited) = v1.memory({"limit": 100, "swap": 200})
    assert not limited.optional


def test_unlimited_memory_takes_swap_along() -> None:
    assert written({"memory": {"limit": -1}}, UNIFIED) == [
        ("memory.swap.max", "max"),
        ("memory.max", "max"),
    ]
    assert written({"memory": {"limit": -1}}, LEGACY) == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "-1"),
    ]


@pytest.mark.parametrize("swappiness", [101, -2])
def test_swappiness_out_of_range(swappiness: int) -> None:
    with pytest.raises(InvalidArgumentError, match="valid memory swappiness range is 0-100"):
        v1.memory({"swappiness": swappiness})


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(0, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (262144, 10000), (999999, 10000)],
)
def test_shares_as_weight(shares: int, weight: int) -> None:
    assert v2.cpu_weight(shares) == weight


def test_shares_keep_their_order_as_weights() -> None:
    weights = [v2.cpu_weight(shares) for shares in range(2, 20000, 7)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(("weight", "expected"), [(10, 1), (500, 4950), (1000, 10000)])
def test_io_weight(weight: int, expected: int) -> None:
    assert v2.io_weight(weight) == expected


def test_cpu() -> None:
    cpu = {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"}
    assert written({"cpu": cpu}, LEGACY) == [
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
    ]
    assert written({"cpu": cpu}, UNIFIED) == [
        ("cpu.weight", "59"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
    ]


@pytest.mark.parametrize(
    ("cpu", "value"),
    [
        ({"quota": 50000}, "50000"),
        ({"quota": -1}, "max"),
        ({"quota": -1, "period": 50000}, "max 50000"),
        ({"period": 50000}, "max 50000"),
    ],
)
def test_cpu_max(cpu: Any, value: str) -> None:
    assert [setting.value for setting in v2.cpu(cpu)] == [value]


def test_realtime_limits_do_not_exist_on_v2() -> None:
    with pytest.raises(FailedPreconditionError, match="no realtime limits"):
        v2.cpu({"realtimeRuntime": 1000})


@pytest.mark.parametrize(("limit", "value"), [(100, "100"), (0, "max"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    for layout in (LEGACY, UNIFIED):
        assert written({"pids": {"limit": limit}}, layout) == [("pids.max", value)]


BLOCK = {
    "weight": 300,
    "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
    "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}],
}


def test_block_io_on_v1() -> None:
    assert written({"blockIO": BLOCK}, LEGACY) == [
        ("blkio.bfq.weight", "300"),
        ("blkio.bfq.weight_device", "8:0 500"),
        ("blkio.throttle.read_bps_device", "8:0 1048576"),
        ("blkio.throttle.write_iops_device", "8:16 0"),
    ]


def test_block_io_on_v2() -> None:
    assert written({"blockIO": BLOCK}, UNIFIED) == [
        ("io.bfq.weight", "300"),
        ("io.bfq.weight", "8:0 500"),
        ("io.max", "8:0 rbps=1048576"),
        ("io.max", "8:16 wiops=max"),
    ]
    weight = v2.io({"weight": 300})[0].otherwise
    assert weight is not None
    assert (weight.file, weight.value) == ("io.weight", "default 2930")


def test_unified_files() -> None:
    assert written({"unified": {"memory.high": "1000", "cgroup.max.depth": "3"}}, UNIFIED) == [
        ("memory.high", "1000"),
        ("cgroup.max.depth", "3"),
    ]
    with pytest.raises(FailedPreconditionError):
        written({"unified": {"memory.high": "1000"}}, LEGACY)


@pytest.mark.parametrize(
    "name", ["../x.y", "a/b.c", ".hidden", "cgroup.procs", "cgroup.threads", "x"]
)
def test_unified_takes_only_names_of_control_files(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="must be the name of a control file"):
        written({"unified": {name: "1"}}, UNIFIED)


def test_a_missing_controller_is_an_error_only_when_it_is_needed() -> None:
    bare = Layout("/cg", frozenset({"cpu"}), {})
    with pytest.raises(FailedPreconditionError, match='the "memory" cgroup controller') as caught:
        written({"memory": {"limit": 100}}, bare)
    assert caught.value.hint
    assert written({"pids": {"limit": -1}}, bare) == []


def test_describe_names_every_step() -> None:
    cgroup = Cgroup("/knarr/x", LEGACY)
    lines = cgroup.describe({"pids": {"limit": 5}, "cpu": {"cpus": "0"}})
    assert "mkdir /cg/cpuset/knarr/x" in lines
    assert 'write "5" to pids.max of /cg/pids/knarr/x' in lines
    assert "mkdir /cg/devices/knarr/x" not in lines

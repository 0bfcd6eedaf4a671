"""What stands in the control files of each version."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime.cgroups import Cgroup, Layout

pytestmark = pytest.mark.needs_root
MIB = 1 << 20
CLONE_NEWCGROUP, CLONE_NEWNS = 0x02000000, 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18

RESOURCES: Any = {
    "memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": 32 * MIB, "swappiness": 10},
    "cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 42},
    "blockIO": {"weight": 300},
}


def content(cgroup: Cgroup, controller: str, file: str) -> str:
    return Path(cgroup.directory(controller), file).read_text().strip()


@pytest.mark.needs_cgroup1
def test_v1_files(cgroup: Cgroup) -> None:
    cgroup.create({**RESOURCES, "memory": {**RESOURCES["memory"], "disableOOMKiller": True}})
    expected = {
        ("memory", "memory.limit_in_bytes"): str(64 * MIB),
        ("memory", "memory.memsw.limit_in_bytes"): str(64 * MIB),
        ("memory", "memory.soft_limit_in_bytes"): str(32 * MIB),
        ("memory", "memory.swappiness"): "10",
        ("cpu", "cpu.shares"): "512",
        ("cpu", "cpu.cfs_quota_us"): "20000",
        ("cpu", "cpu.cfs_period_us"): "50000",
        ("cpuset", "cpuset.cpus"): "0",
        ("cpuset", "cpuset.mems"): "0",
        ("pids", "pids.max"): "42",
        ("blkio", "blkio.bfq.weight"): "300",
    }
    assert {key: content(cgroup, *key) for key in expected} == expected
    assert "oom_kill_disable 1" in content(cgroup, "memory", "memory.oom_control")


@pytest.mark.needs_cgroup1
def test_v1_makes_no_hierarchy_that_nobody_needs(cgroup: Cgroup) -> None:
    cgroup.create({})
    assert not Path(cgroup.directory("cpuset")).exists()
    assert Path(cgroup.directory("memory")).exists()


@pytest.mark.needs_cgroup1
def test_v1_cpuset_inherits_what_is_not_asked_for(cgroup: Cgroup) -> None:
    cgroup.create({"cpu": {"cpus": "0"}})
    root = Path(cgroup.layout.legacy["cpuset"], "cpuset.mems").read_text().strip()
    assert content(cgroup, "cpuset", "cpuset.mems") == root


@pytest.mark.needs_cgroup1
def test_v1_device_lines(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knarr.runtime.cgroups.device_filter._usable", False)
    rules: Any = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    ]
    cgroup.create({"devices": rules})
    lines = content(cgroup, "devices", "devices.list").splitlines()
    assert sorted(lines) == ["c *:* m", "c 1:3 rwm"]
    tun: Any = {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}
    cgroup.update({"devices": [*rules[:2], tun]})
    lines = content(cgroup, "devices", "devices.list").splitlines()
    assert sorted(lines) == ["c *:* m", "c 10:200 rw"]
    cgroup.update({"devices": [{"allow": True}]})
    assert content(cgroup, "devices", "devices.list") == "a *:* rwm"


@pytest.mark.needs_cgroup2
def test_v2_files(cgroup: Cgroup) -> None:
    cgroup.create({**RESOURCES, "unified": {"memory.high": str(60 * MIB)}})
    expected = {
        "memory.max": str(64 * MIB),
        "memory.swap.max": "0",
        "memory.low": str(32 * MIB),
        "memory.high": str(60 * MIB),
        "cpu.weight": "59",
        "cpu.max": "20000 50000",
        "cpuset.cpus": "0",
        "cpuset.mems": "0",
        "pids.max": "42",
    }
    assert {file: content(cgroup, "cgroup", file) for file in expected} == expected
    weights = [Path(cgroup.unified, file) for file in ("io.bfq.weight", "io.weight")]
    values = [weight.read_text().splitlines()[0] for weight in weights if weight.exists()]
    assert values[0] in {"300", "default 300", "default 2930"}


@pytest.mark.needs_cgroup2
def test_v2_hands_only_needed_controllers_down(cgroup: Cgroup) -> None:
    cgroup.create({})
    here = content(cgroup, "cgroup", "cgroup.controllers").split()
    assert {"cpu", "io", "memory", "pids"} <= set(here)


@pytest.mark.needs_cgroup2
@pytest.mark.parametrize("resources", [{}, {"pids": {"limit": 3}}, {"memory": {"limit": MIB}}])
def test_v2_limits_only_leaves(cgroup: Cgroup, member: Callable[..., int], resources: Any) -> None:
    cgroup.create({})
    pid = member(signal.pause)
    below = Cgroup(f"{cgroup.path}/below", cgroup.layout)
    with pytest.raises(FailedPreconditionError, match=r"subtree_control.*busy") as caught:
        below.create(resources)
    assert "holds processes of its own" in (caught.value.hint or "")
    assert not below.exists()
    assert content(cgroup, "cgroup", "cgroup.type") == "domain"
    assert cgroup.processes() == [pid]


@pytest.mark.needs_cgroup2
def test_v2_processes_at_a_delegated_root_move_aside(
    cgroup: Cgroup, member: Callable[..., int], tmp_path: Path
) -> None:
    """As in a container with a cgroup namespace of its own, where knarr runs beside others."""
    cgroup.create({})

    def run_inside() -> int:
        libc = ctypes.CDLL(None)
        if libc.unshare(CLONE_NEWCGROUP | CLONE_NEWNS):
            return 2
        if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            return 3
        if libc.mount(b"none", os.fsencode(tmp_path), b"cgroup2", 0, None):
            return 4
        mount = str(tmp_path)
        controllers = Path(mount, "cgroup.controllers").read_text().split()
        inner = Cgroup("/knarr/one", Layout(mount, frozenset(controllers), {}))
        inner.create({"memory": {"limit": 64 * MIB}})
        told = inner.stats().memory_limit == 64 * MIB
        aside = Path(mount, "init/cgroup.procs").read_text().split()
        inner.remove()
        return 0 if told and aside == [str(os.getpid())] else 5

    _, status = os.waitpid(member(run_inside), 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.needs_cgroup2
def test_v2_refuses_a_limit_by_name_and_value(cgroup: Cgroup) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cgroup.create({"unified": {"memory.high": "much"}})
    file = f"{cgroup.unified}/memory.high"
    assert caught.value.message == f'write "much" to "{file}": invalid argument'
    with pytest.raises(FailedPreconditionError, match=r"memory\.nonsense"):
        cgroup.create({"unified": {"memory.nonsense": "1"}})
    assert not cgroup.exists()

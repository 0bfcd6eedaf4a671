"""The whole engine on a host with cgroup v1 only."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from knarr.runtime.cgroups import detect
from support.engine import Engine

pytestmark = pytest.mark.needs_root

LIMITS = ["-m", "64m", "--memory-swap", "128m", "--cpus", "0.5", "--pids-limit", "20"]


def test_there_is_no_unified_hierarchy() -> None:
    layout = detect()
    assert layout.mode == "legacy"
    assert not layout.unified
    assert {"cpu", "cpuset", "memory", "pids", "devices", "freezer"} <= layout.legacy.keys()


def test_limits_reach_the_container(engine: Engine) -> None:
    files = "memory/memory.limit_in_bytes cpu,cpuacct/cpu.cfs_quota_us pids/pids.max"
    script = f"cd /sys/fs/cgroup; cat {files}"
    done = engine.docker("run", "--rm", "--network", "none", *LIMITS, "busybox", "sh", "-c", script)
    assert done.out.splitlines() == [str(64 << 20), "50000", "20"]
    assert engine.get("/info")["CgroupVersion"] == "1"


def test_memory_hog_is_killed_and_known_as_such(engine: Engine) -> None:
    hog = ["busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    options = ["--name", "hog", "--network", "none", "-m", "16m"]
    assert engine.knarr("run", *options, *hog, check=False).code == 137
    assert engine.get("/containers/hog/json")["State"]["OOMKilled"] is True
    engine.knarr("rm", "hog")


def test_only_granted_devices_can_be_opened(engine: Engine) -> None:
    script = "mknod /kmsg c 1 11 && ! dd if=/kmsg of=/dev/null count=1 && echo x > /dev/null"
    done = engine.knarr("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
    assert "Operation not permitted" in done.err


def test_pause_exec_and_kills_of_the_engine(engine: Engine) -> None:
    engine.knarr("run", "-d", "--name", "long", "--network", "none", "busybox", "sleep", "100")
    pid = engine.get("/containers/long/json")["State"]["Pid"]
    engine.knarr("pause", "long")
    assert "FROZEN" in Path(f"/sys/fs/cgroup/freezer{cgroup_of(pid)}/freezer.state").read_text()
    engine.knarr("unpause", "long")
    os.kill(engine.supervisor_pid(), signal.SIGKILL)
    engine.kill9()
    engine.start()
    state = engine.get("/containers/long/json")["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    assert engine.knarr("exec", "long", "echo", "yes").line == "yes"
    engine.knarr("rm", "-f", "long")


def cgroup_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line.split(":", 2)[2] for line in lines if ":freezer:" in line)

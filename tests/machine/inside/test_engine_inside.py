"""The whole engine on a host with cgroup v2 only: what a user does first, and what must hold."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.engine import Engine

pytestmark = pytest.mark.needs_root

LIMITS = ["-m", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "20"]


def test_limits_reach_the_container(engine: Engine) -> None:
    files = "cat memory.max memory.swap.max cpu.max pids.max"
    script = f"cat /proc/self/cgroup; cd /sys/fs/cgroup; {files}"
    done = engine.docker("run", "--rm", "--network", "none", *LIMITS, "busybox", "sh", "-c", script)
    expected = ["0::/", str(64 << 20), "0", "50000 100000", "20"]
    assert done.out.splitlines() == expected
    assert engine.get("/info")["CgroupVersion"] == "2"


def test_memory_hog_is_killed_and_known_as_such(engine: Engine) -> None:
    hog = ["busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    options = ["--name", "hog", "--network", "none", "-m", "16m", "--memory-swap", "16m"]
    assert engine.knarr("run", *options, *hog, check=False).code == 137
    assert engine.get("/containers/hog/json")["State"]["OOMKilled"] is True
    engine.knarr("rm", "hog")


def test_exec_joins_the_cgroup_of_the_container(engine: Engine) -> None:
    engine.knarr("run", "-d", "--name", "host", "--network", "none", "busybox", "sleep", "100")
    assert engine.knarr("exec", "host", "cat", "/proc/self/cgroup").line == "0::/"
    pid = engine.get("/containers/host/json")["State"]["Pid"]
    assert "/knarr-" in Path(f"/proc/{pid}/cgroup").read_text()
    engine.knarr("rm", "-f", "host")


def test_containers_outlive_engine_and_supervisor(engine: Engine) -> None:
    engine.knarr("run", "-d", "--name", "long", "--network", "none", "busybox", "sleep", "100")
    pid = engine.get("/containers/long/json")["State"]["Pid"]
    os.kill(engine.supervisor_pid(), signal.SIGKILL)
    engine.kill9()
    engine.start()
    state = engine.get("/containers/long/json")["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    assert engine.knarr("exec", "long", "echo", "yes").line == "yes"
    engine.knarr("rm", "-f", "long")


def test_statistics_are_those_of_v2(engine: Engine) -> None:
    script = "while :; do :; done"
    engine.knarr(
        *("run", "-d", "--name", "busy", "--network", "none", *LIMITS, "busybox", "sh", "-c"),
        script,
    )
    found = engine.get("/containers/busy/stats?stream=false")
    now, before = found["cpu_stats"], found["precpu_stats"]
    assert now["cpu_usage"]["total_usage"] > before["cpu_usage"]["total_usage"] > 0
    assert "percpu_usage" not in now["cpu_usage"]
    assert now["throttling_data"]["periods"] > 0
    assert now["online_cpus"] > 0
    memory = found["memory_stats"]
    assert 0 < memory["usage"] <= memory["limit"] == 64 << 20
    assert {"anon", "inactive_file", "pgfault"} <= set(memory["stats"])
    assert "max_usage" not in memory
    assert found["pids_stats"] == {"current": 1, "limit": 20}
    assert found["blkio_stats"]["io_serviced_recursive"] is None
    row = engine.docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "busy").line
    assert row.endswith("/ 64MiB 1")
    engine.knarr("rm", "-f", "busy")


def test_limits_of_a_living_container_change(engine: Engine) -> None:
    engine.knarr("run", "-d", "--name", "host", "--network", "none", "busybox", "sleep", "100")
    pid = engine.get("/containers/host/json")["State"]["Pid"]
    place = Path("/sys/fs/cgroup", Path(f"/proc/{pid}/cgroup").read_text().strip()[4:])

    def limits() -> list[str]:
        names = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
        return [(place / name).read_text().strip() for name in names]

    flags = ["-m", "64m", "--memory-swap", "96m", "--cpus", "0.5", "-c", "2", "--pids-limit", "9"]
    engine.docker("update", *flags, "host")
    assert limits() == [str(64 << 20), str(32 << 20), "50000 100000", "1", "9"]
    kept = engine.get("/containers/host/json")["HostConfig"]
    bad = engine.docker("update", "--cpu-quota", "10000", "host", check=False)
    assert bad.code == 1
    engine.docker("update", "-m", "128m", "--memory-swap", "128m", "--pids-limit", "-1", "host")
    assert limits() == [str(128 << 20), "0", "50000 100000", "1", "max"]
    assert kept["Memory"] == 64 << 20
    engine.knarr("rm", "-f", "host")

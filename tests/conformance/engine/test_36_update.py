from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.engine import Engine

MIB = 1 << 20
CANNOT = "Cannot update container {id}: "


def host_config(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/containers/{name}/json")["HostConfig"]


@pytest.fixture
def idle(daemon: Engine, name: str) -> str:
    daemon.docker("run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "1000")
    return name


def test_limits_and_what_is_recorded(daemon: Engine, idle: str) -> None:
    for flags, expected in (
        ("-m 300m --memory-swap 500m", {"Memory": 300 * MIB, "MemorySwap": 500 * MIB}),
        ("-m 50m", {"Memory": 50 * MIB, "MemorySwap": 500 * MIB}),
        ("--memory-swap 60m", {"Memory": 50 * MIB, "MemorySwap": 60 * MIB}),
        ("--memory-swap 800m -m 700m", {"Memory": 700 * MIB, "MemorySwap": 800 * MIB}),
        ("--memory-reservation 20m", {"MemoryReservation": 20 * MIB}),
        ("--cpu-shares 512", {"CpuShares": 512}),
        ("--cpus 0.5", {"NanoCpus": 500_000_000}),
        ("--cpuset-cpus 0 --cpuset-mems 0", {"CpusetCpus": "0", "CpusetMems": "0"}),
        ("--pids-limit 50", {"PidsLimit": 50}),
        ("--pids-limit -1", {"PidsLimit": 0}),
        (
            "--restart on-failure:3",
            {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        ),
    ):
        before = host_config(daemon, idle)
        assert daemon.docker("update", *flags.split(), idle).out == f"{idle}\n"
        assert host_config(daemon, idle) == before | expected, flags
    stats = daemon.get(f"/containers/{idle}/stats?stream=false&one-shot=true")
    assert stats["memory_stats"]["limit"] == 700 * MIB
    assert "limit" not in stats["pids_stats"]


@pytest.mark.parametrize(
    ("before", "flags", "message"),
    [
        ("", "-m 100m", f"{CANNOT}Memory limit should be smaller than already set memoryswap"),
        ("", "-m 4m", "Minimum memory limit allowed is 6MB"),
        ("", "--cpuset-cpus 999", "Requested CPUs are not available - requested 999, available: "),
        ("--cpus 0.5", "--cpu-quota 20000", f"{CANNOT}Conflicting options: CPU Quota cannot be"),
        ("--cpu-period 50000", "--cpus 0.5", f"{CANNOT}Conflicting options: Nano CPUs cannot be"),
        ("", "--restart foo", "invalid restart policy"),
        ("--rm", "--restart always", f"{CANNOT}Restart policy cannot be updated because AutoRem"),
    ],
)
def test_what_is_refused_changes_nothing(
    daemon: Engine, name: str, before: str, flags: str, message: str
) -> None:
    made = daemon.docker("create", "--name", name, "--network", "none", *before.split(), "busybox")
    kept = host_config(daemon, name)
    done = daemon.docker("update", *flags.split(), name, check=False)
    assert (done.code, done.out) == (1, "")
    assert message.format(id=made.line) in done.err
    assert host_config(daemon, name) == kept


def test_a_write_that_fails_leaves_the_earlier_limits(
    daemon: Engine, name: str, is_knarr: bool
) -> None:
    """Memory cannot be limited below what is used and cannot be given back."""
    if not is_knarr or Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("only v1 refuses; older peers leave it half done")
    fill = "head -c 60000000 /dev/zero > /dev/shm/x; echo ready; sleep 1000"
    limits = ["-m", "200m", "--memory-swap", "200m", "--cpu-shares", "300"]
    daemon.docker(
        *("run", "-d", "--name", name, "--network", "none", "--shm-size", "100m", *limits),
        *("busybox", "sh", "-c", fill),
    )
    while "ready" not in daemon.docker("logs", name).out:
        pass
    kept = host_config(daemon, name)
    pid = daemon.get(f"/containers/{name}/json")["State"]["Pid"]

    def cpu_shares() -> str:
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "cpu" in controllers.split(","):
                return Path(f"/sys/fs/cgroup/{controllers}{path}/cpu.shares").read_text()
        raise AssertionError("no cpu controller")

    shares = cpu_shares()
    flags = ["--cpu-shares", "700", "-m", "20m", "--memory-swap", "20m"]
    done = daemon.docker("update", *flags, name, check=False)
    assert (done.code, done.out) == (1, "")
    assert "Cannot update container" in done.err
    assert host_config(daemon, name) == kept
    assert cpu_shares() == shares
    usage = daemon.get(f"/containers/{name}/stats?stream=false&one-shot=true")
    assert usage["memory_stats"]["limit"] == 200 * MIB
    daemon.docker("update", "-m", "150m", "--memory-swap", "180m", name)
    daemon.docker("update", "-m", "190m", "--memory-swap", "220m", name)
    assert host_config(daemon, name)["MemorySwap"] == 220 * MIB


@pytest.mark.parametrize("who", ["docker", "knarr"])
def test_command_line(daemon: Engine, idle: str, who: str) -> None:
    command = daemon.docker if who == "docker" else daemon.knarr
    nothing = command("update", idle, check=False)
    assert (nothing.code, nothing.err) == (
        1,
        "you must provide one or more flags when using this command\n",
    )
    done = command("update", "-c", "200", "--pids-limit", "9", idle, "nosuch", check=False)
    assert (done.code, done.out) == (1, f"{idle}\n")
    assert done.err == "Error response from daemon: No such container: nosuch\n"
    found = host_config(daemon, idle)
    assert (found["CpuShares"], found["PidsLimit"]) == (200, 9)
    bad = command("update", "--restart", ":3", idle, check=False)
    assert bad.err == "invalid restart policy format: no policy provided before colon\n"


def test_an_update_of_zeros_changes_nothing(daemon: Engine, idle: str) -> None:
    before = host_config(daemon, idle)
    status, body = daemon.api("POST", f"/containers/{idle}/update", {"Memory": 0, "CpuShares": 0})
    assert (status, json.loads(body)["Warnings"] or []) == (200, [])
    assert host_config(daemon, idle) == before

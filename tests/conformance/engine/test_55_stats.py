from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import docker
import pytest

from support.engine import Engine

NAMES = ["ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
BUSY = "while :; do :; done"
BLKIO = {
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
}


@pytest.fixture
def busy(daemon: Engine, name: str) -> str:
    """A container that uses a fifth of a CPU and may use 32 MiB and 20 tasks."""
    limits = ["--cpus", "0.2", "-m", "32m", "--pids-limit", "20"]
    daemon.docker(
        "run", "-d", "--network", "none", "--name", name, *limits, "busybox", "sh", "-c", BUSY
    )
    return name


def test_fields(daemon: Engine, busy: str) -> None:
    found = daemon.get(f"/containers/{busy}/stats?stream=false")
    assert found["name"] == f"/{busy}"
    assert found["id"] == daemon.get(f"/containers/{busy}/json")["Id"]
    assert "0001" < found["preread"] < found["read"]
    assert found["pids_stats"] == {"current": 1, "limit": 20}
    assert set(found["blkio_stats"]) == BLKIO
    assert (found["num_procs"], found["storage_stats"]) == (0, {})
    now, before = found["cpu_stats"], found["precpu_stats"]
    assert now["cpu_usage"]["total_usage"] > before["cpu_usage"]["total_usage"] > 0
    assert now["system_cpu_usage"] > before["system_cpu_usage"] > 0
    assert now["online_cpus"] > 0
    assert set(now["throttling_data"]) == {"periods", "throttled_periods", "throttled_time"}
    assert now["throttling_data"]["periods"] > 0
    memory = found["memory_stats"]
    assert 0 < memory["usage"] <= memory["limit"] == 32 << 20
    assert "inactive_file" in memory["stats"]
    assert "networks" not in found


def test_one_shot_has_nothing_to_compare_with(daemon: Engine, busy: str) -> None:
    found = daemon.get(f"/containers/{busy}/stats?stream=false&one-shot=true")
    assert found["preread"] == "0001-01-01T00:00:00Z"
    assert found["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert "online_cpus" not in found["precpu_stats"]
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    status, body = daemon.api("GET", f"/containers/{busy}/stats?stream=true&one-shot=true")
    assert (status, json.loads(body)["message"]) == (
        400,
        "cannot have stream=true and one-shot=true",
    )


def test_one_that_does_not_run_uses_nothing(daemon: Engine, name: str) -> None:
    daemon.docker("create", "--name", name, "--network", "none", "busybox", "true")
    found = daemon.get(f"/containers/{name}/stats?stream=false")
    assert found["read"] == "0001-01-01T00:00:00Z"
    assert (found["pids_stats"], found["memory_stats"]) == ({}, {})
    assert set(found["blkio_stats"].values()) == {None}
    assert found["cpu_stats"] == found["precpu_stats"]
    table = daemon.docker("stats", "--no-stream", name).out.splitlines()
    assert table[1].split()[1:] == [
        *(name, "0.00%", "0B", "/", "0B", "0.00%"),
        *("0B", "/", "0B", "0B", "/", "0B", "0"),
    ]


def test_no_such_container(daemon: Engine) -> None:
    status, body = daemon.api("GET", "/containers/nosuch/stats")
    assert (status, json.loads(body)) == (404, {"message": "No such container: nosuch"})


def test_docker_stats(daemon: Engine, busy: str) -> None:
    form = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"
    shown = daemon.docker("stats", "--no-stream", "--format", form, busy).out.split()
    assert (shown[0], shown[3:]) == (busy, ["/", "32MiB", "1"])
    assert 1 < float(shown[1].rstrip("%")) < 60  # 20, if the machine has time for it


def test_docker_py_streams_until_the_container_goes(
    client: docker.DockerClient, daemon: Engine, busy: str
) -> None:
    samples: Any = client.containers.get(busy).stats(stream=True, decode=True)
    first, second = next(samples), next(samples)
    assert second["preread"] == first["read"]
    assert second["precpu_stats"] == first["cpu_stats"]
    daemon.docker("kill", busy)
    assert any(sample["read"].startswith("0001") for sample in samples)
    threading.Thread(target=daemon.docker, args=("rm", "-f", busy)).start()
    assert sum(1 for _ in samples) < 100  # the stream ends


@pytest.mark.parametrize("listeners", [20])
def test_clients_that_leave_leave_nothing(
    daemon: Engine, busy: str, listeners: int, is_knarr: bool
) -> None:
    sockets = []
    for _ in range(listeners):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(daemon.socket))
        sock.sendall(f"GET /containers/{busy}/stats HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sockets.append(sock)
    threads = _threads(daemon) if is_knarr else 0
    for sock in sockets:
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200")
        sock.close()
    if is_knarr:
        assert threads < 40, "a thread for each listener"
    assert daemon.get(f"/containers/{busy}/stats?stream=false")["read"] > "2"


def _threads(daemon: Engine) -> int:
    return sum(1 for _ in Path(f"/proc/{daemon.pid}/task").iterdir())


@pytest.mark.parametrize("who", ["docker", "knarr"])
def test_tables(daemon: Engine, busy: str, who: str) -> None:
    command = daemon.docker if who == "docker" else daemon.knarr
    heads = command("stats", "--no-stream", busy).out.splitlines()[0]
    assert [each for each in NAMES if each not in heads] == []
    whole = command("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", busy).line
    assert len(whole) == 64
    every = command("stats", "--no-stream", "-a", "--format", "json").out.splitlines()
    assert busy in [json.loads(line)["Name"] for line in every]
    missing = command("stats", "--no-stream", busy, "nosuch", check=False)
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "Error response from daemon: No such container: nosuch\n"

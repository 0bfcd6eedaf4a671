"""Containers and clients that take what they can: others go on, limits hold, nothing leaks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from support import leaks
from support.engine import Engine, UnixConnection

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

V1 = Path("/sys/fs/cgroup")
FLOOD = "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123; done"
MIB = 1 << 20
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Engine]:
    """The engine with a container ``bystander`` that runs."""
    run_background(engine, "bystander", "sleep 1000")
    yield engine
    engine.api("DELETE", "/containers/bystander?force=1")


@pytest.fixture
def name(loaded: Engine) -> Iterator[str]:
    yield "hostile"
    loaded.api("DELETE", "/containers/hostile?force=1&v=1")


def run_background(engine: Engine, name: str, script: str, *options: str) -> None:
    line = ("run", "-d", "--name", name, "--network", "none", *options, "busybox", "sh", "-c")
    engine.docker(*line, script)


class Meanwhile:
    """Uses the engine in a loop, as somebody who has nothing to do with the load."""

    def __init__(self, engine: Engine) -> None:
        self.rounds = 0
        self.failure: Exception | None = None
        self._engine = engine
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                self._round()
                self.rounds += 1
                self._over.wait(0.2)
        except Exception as error:  # noqa: BLE001 - told by the one who waits
            self.failure = error

    def _round(self) -> None:
        assert self._engine.api("GET", "/_ping") == (200, b"OK")
        assert "/bystander" in [item["Names"][0] for item in self._engine.get("/containers/json")]
        assert run_exec(self._engine, "bystander", ["echo", "here"]) == b"here\n"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        while self.rounds < 3 and self._thread.is_alive():  # at least that many under load
            time.sleep(0.05)
        self._over.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure


def run_exec(engine: Engine, name: str, command: list[str]) -> bytes:
    """The standard output of an exec, whose exit code must be 0."""
    body = {"AttachStdout": True, "Cmd": command}
    status, answer = engine.api("POST", f"/containers/{name}/exec", body)
    assert status == 201, answer
    key = answer.partition(b'"Id":"')[2].partition(b'"')[0].decode()
    status, out = engine.api("POST", f"/exec/{key}/start", {"Detach": False})
    assert status == 200, out
    assert engine.get(f"/exec/{key}/json")["ExitCode"] == 0
    return out[8:]


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.05)
    return value


def cgroup(engine: Engine, name: str, controller: str) -> Path:
    """The folder of a running container's cgroup of a v1 controller."""
    pid = engine.get(f"/containers/{name}/json")["State"]["Pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return V1 / controller / path.lstrip("/")
    raise AssertionError(f"no {controller} in /proc/{pid}/cgroup")


def memory(pid: int) -> int:
    """The resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no memory in the status of {pid}")


def descriptors(engine: Engine) -> tuple[int, int]:
    """How many descriptors the engine and its supervisor have open."""
    pids = engine.pid, engine.supervisor_pid()
    first, second = (sum(leaks.descriptors(pid).values()) for pid in pids)
    return first, second


@pytest.mark.needs_cgroup1
def test_fork_bomb(loaded: Engine, name: str) -> None:
    bomb = "b() { b | b & }; b; while :; do sleep 1; done"
    run_background(loaded, name, bomb, "--pids-limit", "60")
    folder = cgroup(loaded, name, "pids")
    wait_for(lambda: "max 0" not in (folder / "pids.events").read_text())
    with Meanwhile(loaded):
        for _ in range(20):
            assert int((folder / "pids.current").read_text()) <= 60
            time.sleep(0.02)
    loaded.docker("rm", "-f", name)
    assert not folder.exists()


@pytest.mark.needs_cgroup1
def test_memory_hogs_one_after_the_other(loaded: Engine, name: str) -> None:
    """The shell lives; what it starts takes all the memory and is killed."""
    hogs = "for i in 1 2 3 4 5 6; do sh -c 'x=a; while :; do x=$x$x; done'; echo killed $?; done"
    run_background(loaded, name, hogs, "-m", "32m", "--memory-swap", "32m")
    folder = cgroup(loaded, name, "memory")
    with Meanwhile(loaded):
        while folder.exists():
            with contextlib.suppress(OSError):  # it may be gone by now
                assert int((folder / "memory.usage_in_bytes").read_text()) <= 32 * MIB
            time.sleep(0.02)
        assert loaded.docker("wait", name).line in ("0", "137")
    events = ("events", "--since", "1m", "--until", str(time.time()), "--filter", "event=oom")
    assert name in loaded.docker(*events).out


def test_log_flood(loaded: Engine, name: str) -> None:
    supervisor = loaded.supervisor_pid()
    before = memory(supervisor)
    limits = ("--log-opt", "max-size=1m", "--log-opt", "max-file=2", "--cpus", "0.5")
    run_background(loaded, name, FLOOD, *limits)
    log = Path(loaded.get(f"/containers/{name}/json")["LogPath"])
    wait_for(lambda: log.with_name(f"{log.name}.1").exists())
    with Meanwhile(loaded):
        for _ in range(5):
            assert len(loaded.docker("logs", "--tail", "5", name).out.splitlines()) == 5
            assert sum(path.stat().st_size for path in log.parent.glob("*.log*")) < 4 * MIB
    assert loaded.docker("stop", "-t", "0", name).code == 0
    assert memory(supervisor) < before + 16 * MIB


def test_two_thousand_execs(loaded: Engine) -> None:
    def some(number: int) -> None:
        body = json.dumps({"AttachStdout": True, "Cmd": ["echo", str(number)]})
        kept = UnixConnection(str(loaded.socket))
        for _ in range(50):
            kept.request("POST", "/containers/bystander/exec", body, JSON)
            key = json.loads(kept.getresponse().read())["Id"]
            status, out = loaded.api("POST", f"/exec/{key}/start", {"Detach": False})
            told = loaded.api("GET", f"/exec/{key}/json"), loaded.log.read_text()[-2000:]
            assert (status, out[8:]) == (200, b"%d\n" % number), told
        kept.close()

    some(0)
    used = sum(memory(pid) for pid in (loaded.pid, loaded.supervisor_pid()))
    opened = descriptors(loaded)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(some, range(40)))
    wait_for(lambda: descriptors(loaded)[1] <= opened[1])
    assert descriptors(loaded)[0] <= opened[0] + 40  # the database's own, once a thread
    assert sum(memory(pid) for pid in (loaded.pid, loaded.supervisor_pid())) < used + 48 * MIB
    assert not loaded.get("/containers/bystander/json")["ExecIDs"]


def stream(engine: Engine, method: str, path: str) -> socket.socket:
    """A connection that has asked for a stream and reads nothing of it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(str(engine.socket))
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "attach?stream=1&stdout=1&stderr=1"),
        ("POST", "attach?stream=1&logs=1&stdout=1"),
        ("GET", "logs?follow=1&stdout=1"),
        ("GET", "export"),
    ],
    ids=["attach", "attach-logs", "logs", "export"],
)
def test_client_that_never_reads(loaded: Engine, name: str, method: str, path: str) -> None:
    limits = ("--log-opt", "max-size=1m", "--log-opt", "max-file=2", "--cpus", "0.5")
    run_background(loaded, name, FLOOD, *limits)
    before = memory(loaded.pid) + memory(loaded.supervisor_pid())
    opened = descriptors(loaded)
    stuck = [stream(loaded, method, f"/containers/{name}/{path}") for _ in range(5)]
    try:
        with Meanwhile(loaded):
            time.sleep(0.5)
        assert memory(loaded.pid) + memory(loaded.supervisor_pid()) < before + 32 * MIB
        loaded.docker("stop", "-t", "0", name)
    finally:
        for sock in stuck:
            sock.close()
    wait_for(lambda: all(a <= b + 8 for a, b in zip(descriptors(loaded), opened, strict=True)))


def test_client_that_stops_reading_holds_up_only_its_container(loaded: Engine, name: str) -> None:
    """As with Docker, a container waits for who is attached to it; when he goes, it goes on."""
    run_background(loaded, name, f"echo begun; {FLOOD}", "--log-opt", "max-size=1m")
    stuck = stream(loaded, "POST", f"/containers/{name}/attach?stream=1&stdout=1")
    with Meanwhile(loaded):
        pass
    stuck.close()
    log = Path(loaded.get(f"/containers/{name}/json")["LogPath"])
    size = log.stat()
    wait_for(lambda: (log.stat().st_ino, log.stat().st_size) != (size.st_ino, size.st_size))

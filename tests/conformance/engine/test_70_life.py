from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import pytest

from support.engine import Engine


def state(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/containers/{name}/json")["State"]


def test_stop(daemon: Engine, background: str) -> None:
    assert daemon.docker("stop", background).line == background
    found = state(daemon, background)
    assert (found["Status"], found["ExitCode"], found["Pid"]) == ("exited", 7, 0)
    assert found["FinishedAt"] > found["StartedAt"]
    assert daemon.api("POST", f"/containers/{background}/stop")[0] == 304


def test_stop_of_what_does_not_listen(daemon: Engine, name: str) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    daemon.docker("run", "-d", "--network", "none", "--name", name, "busybox", "sh", "-c", script)
    before = time.monotonic()
    daemon.docker("stop", "-t", "1", name)
    assert 0.9 < time.monotonic() - before < 8
    assert state(daemon, name)["ExitCode"] == 137


def test_kill(daemon: Engine, background: str) -> None:
    assert daemon.api("POST", f"/containers/{background}/kill?signal=SIGCONT")[0] == 204
    assert state(daemon, background)["Running"] is True
    status, body = daemon.api("POST", f"/containers/{background}/kill?signal=NOSUCH")
    assert status == 400
    assert json.loads(body)["message"].lower() == "invalid signal: nosuch"
    assert daemon.docker("kill", "-s", "TERM", background).line == background
    assert daemon.docker("wait", background).line == "7"
    status, body = daemon.api("POST", f"/containers/{background}/kill")
    assert status == 409
    assert "is not running" in json.loads(body)["message"]


def test_start_twice(daemon: Engine, background: str) -> None:
    assert daemon.api("POST", f"/containers/{background}/start")[0] == 304


def test_restart(daemon: Engine, background: str) -> None:
    pid = state(daemon, background)["Pid"]
    daemon.docker("restart", "-t", "1", background)
    found = state(daemon, background)
    assert found["Running"] is True
    assert found["Pid"] != pid


def test_wait(daemon: Engine, background: str, is_knarr: bool) -> None:
    answers: list[tuple[int, bytes]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(daemon.api("POST", f"/containers/{background}/wait"))
    )
    waiting.start()
    daemon.docker("kill", background)
    waiting.join(20)
    ((status, body),) = answers
    assert (status, json.loads(body)["StatusCode"]) == (200, 137)
    status, body = daemon.api("POST", f"/containers/{background}/wait")
    assert (status, json.loads(body)["StatusCode"]) == (200, 137)
    if is_knarr:  # older Docker waits for the default
        status, body = daemon.api("POST", f"/containers/{background}/wait?condition=nosuch")
        assert status == 400
        assert json.loads(body)["message"] == 'invalid condition: "nosuch"'


@pytest.mark.parametrize("condition", ["next-exit", "removed"])
def test_wait_before_the_start(daemon: Engine, name: str, condition: str) -> None:
    options = ["--rm"] if condition == "removed" else []
    daemon.docker(
        "create", *options, "--network", "none", "--name", name, "busybox", "sh", "-c", "exit 5"
    )
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(daemon.socket))
        path = f"/containers/{name}/wait?condition={condition}"
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(4096)
        assert data.startswith(b"HTTP/1.1 200 OK")
        assert b"StatusCode" not in data
        daemon.docker("start", name)
        while b'"StatusCode":5' not in data:
            chunk = sock.recv(4096)
            assert chunk, data
            data += chunk
    if condition == "removed":
        assert daemon.api("GET", f"/containers/{name}/json")[0] == 404


def test_pause(daemon: Engine, background: str) -> None:
    daemon.docker("pause", background)
    found = state(daemon, background)
    assert (found["Status"], found["Paused"], found["Running"]) == ("paused", True, True)
    status, body = daemon.api("POST", f"/containers/{background}/exec", {"Cmd": ["true"]})
    assert status == 409
    assert "is paused" in json.loads(body)["message"]
    assert "(Paused)" in daemon.docker("ps", "--filter", f"name={background}").out
    daemon.docker("unpause", background)
    assert state(daemon, background)["Status"] == "running"


def test_restart_policy(daemon: Engine, name: str) -> None:
    options = ["--restart", "on-failure:2", "--network", "none", "--name", name]
    daemon.docker("run", "-d", *options, "busybox", "sh", "-c", "echo run; exit 1")
    deadline = time.monotonic() + 20
    while True:
        found = daemon.get(f"/containers/{name}/json")
        if found["RestartCount"] == 2 and found["State"]["Status"] == "exited":
            break
        assert time.monotonic() < deadline, found["State"]
        time.sleep(0.1)
    assert daemon.docker("logs", name).out == "run\n" * 3

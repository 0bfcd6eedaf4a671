from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from support import probes
from support.engine import Engine


def test_ping(daemon: Engine) -> None:
    assert daemon.api("GET", "/_ping") == (200, b"OK")
    assert daemon.api("HEAD", "/_ping") == (200, b"")
    assert daemon.api("GET", "/v1.40/_ping") == (200, b"OK")


def test_version(daemon: Engine) -> None:
    answer = daemon.get("/version")
    assert answer["Os"] == "linux"
    assert answer["Arch"] == "amd64"
    assert answer["MinAPIVersion"] <= "1.24"
    assert {"Version", "ApiVersion", "GitCommit", "GoVersion", "KernelVersion"} <= set(answer)
    shown = json.loads(daemon.docker("version", "--format", "{{json .Server}}").out)
    assert shown["ApiVersion"] == answer["ApiVersion"]
    engine = [part for part in answer["Components"] if part["Name"] == "Engine"]
    assert engine, answer["Components"]


def test_info(daemon: Engine) -> None:
    answer = daemon.get("/info")
    assert answer["OSType"] == "linux"
    assert answer["NCPU"] >= 1
    assert answer["MemTotal"] > 1 << 20
    assert answer["Images"] >= 1
    counts = ("ContainersRunning", "ContainersPaused", "ContainersStopped")
    assert answer["Containers"] == sum(answer[key] for key in counts)
    assert answer["CgroupVersion"] in ("1", "2")
    assert any(option.startswith("name=seccomp") for option in answer["SecurityOptions"])
    assert "Server Version" in daemon.docker("info").out


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "page not found"),
        ("PUT", "/version", 404, "page not found"),
        ("GET", "/v1.40/containers/nosuch/json", 404, "No such container: nosuch"),
        ("GET", "/containers/json?filters=x", 400, None),
        ("GET", "/containers/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D", 400, None),
        ("GET", "/images/nosuch/json", 404, "No such image: nosuch:latest"),
        ("GET", "/exec/nosuch/json", 404, None),
        ("POST", "/containers/nosuch/start", 404, "No such container: nosuch"),
        ("DELETE", "/containers/nosuch", 404, "No such container: nosuch"),
        ("DELETE", "/images/nosuch", 404, "No such image: nosuch:latest"),
    ],
)
def test_errors(
    daemon: Engine,
    answers: Callable[[int, int], bool],
    method: str,
    path: str,
    status: int,
    message: str | None,
) -> None:
    got, body = daemon.api(method, path)
    assert answers(got, status)
    answer = json.loads(body)["message"]
    assert answer
    if message:
        assert answer.lower().endswith(message.lower())


def test_a_client_that_is_too_new(daemon: Engine) -> None:
    newest = daemon.get("/version")["ApiVersion"]
    status, body = daemon.api("GET", "/v9.99/version")
    assert status == 400
    expected = f"client version 9.99 is too new. Maximum supported API version is {newest}"
    assert json.loads(body)["message"] == expected


def test_disk_usage(daemon: Engine) -> None:
    answer = daemon.get("/system/df")
    assert answer["LayersSize"] > 0
    assert any("busybox:latest" in (image["RepoTags"] or []) for image in answer["Images"])
    assert "Images" in daemon.docker("system", "df").out


def test_past_events(daemon: Engine, name: str) -> None:
    before = time.time()
    daemon.docker("run", "--network", "none", "--name", name, "busybox", "true")
    daemon.docker("rm", name)
    shown = daemon.docker(
        "events",
        "--since",
        f"{before - 1:.6f}",
        "--until",
        f"{time.time() + 0.1:.6f}",
        "--filter",
        f"container={name}",
        "--format",
        "{{.Type}} {{.Action}} {{.Actor.Attributes.image}}",
    )
    actions = [line.split()[1] for line in shown.out.splitlines()]
    expected = ["create", "attach", "start", "die", "destroy"]
    assert [action for action in actions if action in expected] == expected, actions
    assert all(line.startswith("container ") for line in shown.out.splitlines())
    assert shown.out.splitlines()[0].endswith(" busybox")


def test_die_event_tells_the_exit_code(daemon: Engine, name: str) -> None:
    before = time.time() - 1
    daemon.docker(
        "run", "--network", "none", "--name", name, "busybox", "sh", "-c", "exit 9", check=False
    )
    arguments = ["--since", f"{before:.6f}", "--until", f"{time.time() + 0.1:.6f}"]
    arguments += ["--filter", "event=die", "--filter", f"container={name}"]
    shown = daemon.docker("events", *arguments, "--format", "{{json .}}")
    happened = json.loads(shown.out)
    assert happened["Actor"]["Attributes"]["exitCode"] == "9"
    assert happened["Actor"]["Attributes"]["name"] == name
    assert happened["scope"] == "local"
    assert happened["timeNano"] // 10**9 == happened["time"]
    assert happened["status"] == "die"
    assert happened["id"] == happened["Actor"]["ID"]


def test_events_as_they_happen(daemon: Engine, name: str) -> None:
    command = [probes.docker_cli() or "docker", "events", "--format", "{{.Action}}"]
    command += ["--filter", f"container={name}", "--filter", "event=create"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=daemon.client_env)
    try:
        assert watching.stdout
        time.sleep(0.5)  # docker says nothing when it has begun to listen
        daemon.docker("create", "--name", name, "busybox")
        assert watching.stdout.readline() == "create\n"
    finally:
        watching.terminate()
        watching.wait(10)
        if watching.stdout:
            watching.stdout.close()


def test_networks_and_volumes(daemon: Engine) -> None:
    names = daemon.docker("network", "ls", "--format", "{{.Name}}").out.split()
    assert {"none", "host"} <= set(names)
    assert daemon.get("/networks/none")["Driver"] == "null"
    assert not daemon.get("/volumes")["Warnings"]

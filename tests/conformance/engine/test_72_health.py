"""Health checks, as the docker command line asks for them and shows them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support import images
from support.engine import Engine
from support.waiting import until

FAST = ("--health-interval", "200ms", "--health-retries", "2")


def health(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/containers/{name}/json")["State"].get("Health")


def is_now(daemon: Engine, name: str, status: str) -> bool:
    return bool((health(daemon, name) or {}).get("Status") == status)


def run(daemon: Engine, name: str, *options: str, script: str = "sleep 300") -> str:
    line = ["run", "-d", "--network", "none", "--name", name, *options, "busybox", "sh", "-c"]
    return daemon.docker(*line, script).line


def shown(daemon: Engine, name: str) -> str:
    return daemon.docker("ps", "-a", "--format", "{{.Status}}", "--filter", f"name={name}").line


def names(daemon: Engine, status: str) -> list[str]:
    lines = daemon.docker("ps", "-a", "--format", "{{.Names}}", "--filter", f"health={status}").out
    return str(lines).split()


def test_from_starting_to_unhealthy_and_back(daemon: Engine, name: str, is_knarr: bool) -> None:
    check = 'test -e /bad && { echo "not well"; exit 3; }; echo fine; test -e /go'
    start = ("--health-start-period", "60s")
    if is_knarr:  # a newer Docker has it, too
        start += ("--health-start-interval", "200ms")
    run(daemon, name, "--health-cmd", check, *start, *FAST)
    assert health(daemon, name) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert shown(daemon, name).endswith("(health: starting)")
    assert name in names(daemon, "starting")
    daemon.docker("exec", name, "touch", "/go")
    until(lambda: is_now(daemon, name, "healthy"))
    assert shown(daemon, name).endswith("(healthy)")
    assert name in names(daemon, "healthy")
    last = health(daemon, name)["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (0, "fine\n")
    assert last["Start"] < last["End"]
    daemon.docker("exec", name, "touch", "/bad")
    until(lambda: is_now(daemon, name, "unhealthy"))
    found = health(daemon, name)
    assert found["FailingStreak"] >= 2
    assert found["Log"][-1]["Output"] == "not well\n"
    assert found["Log"][-1]["ExitCode"] == 3
    assert shown(daemon, name).endswith("(unhealthy)")
    until(lambda: len(health(daemon, name)["Log"]) == 5)
    daemon.docker("exec", name, "rm", "/bad")
    until(lambda: is_now(daemon, name, "healthy"))
    assert health(daemon, name)["FailingStreak"] == 0


def test_events(daemon: Engine, name: str) -> None:
    container = run(daemon, name, "--health-cmd", "test -e /go", *FAST)
    until(lambda: is_now(daemon, name, "unhealthy"))
    daemon.docker("exec", "-d", name, "touch", "/go")
    until(lambda: is_now(daemon, name, "healthy"))
    until_now = str(time.time() + 0.5)
    line = ["events", "--since", "0", "--until", until_now, "--filter", f"container={container}"]
    told = [
        json.loads(event)
        for event in daemon.docker(*line, "--format", "{{json .}}").out.splitlines()
    ]
    changes = [each["Action"] for each in told if each["Action"].startswith("health_status")]
    assert changes == ["health_status: unhealthy", "health_status: healthy"]
    probes = [each for each in told if each["Action"].endswith("/bin/sh -c test -e /go")]
    assert {each["Action"].partition(":")[0] for each in probes} == {"exec_create", "exec_start"}
    attributes = probes[0]["Actor"]["Attributes"]
    assert (attributes["name"], attributes["image"], len(attributes["execID"])) == (
        name,
        "busybox",
        64,
    )
    ends = [
        each["Actor"]["Attributes"]["exitCode"]
        for each in told
        if each["Action"] == "exec_die"
        and each["Actor"]["Attributes"]["execID"] == attributes["execID"]
    ]
    assert ends == ["1"]
    filtered = daemon.docker(*line, "--filter", "event=health_status").out.splitlines()
    assert [each.split()[3] for each in filtered] == ["unhealthy", "healthy"]
    exact = daemon.docker(*line, "--filter", "event=health_status: healthy").out.splitlines()
    assert len(exact) == 1


def test_a_check_that_takes_too_long_is_killed(daemon: Engine, name: str) -> None:
    check = "echo begun; exec sleep 4321"
    run(daemon, name, "--health-cmd", check, "--health-timeout", "300ms", *FAST)
    until(lambda: is_now(daemon, name, "unhealthy"))
    last = health(daemon, name)["Log"][-1]
    assert last["ExitCode"] == -1
    assert last["Output"].startswith("Health check exceeded timeout (300ms)")
    daemon.docker("pause", name)
    daemon.docker("unpause", name)
    until(lambda: daemon.docker("top", name).out.count("sleep 4321") <= 1)


def test_what_a_check_started_goes_with_it(daemon: Engine, name: str, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("Docker kills the first process only")
    check = "sleep 4322 & echo $!; wait"
    run(daemon, name, "--health-cmd", check, "--health-timeout", "200ms", *FAST)
    until(lambda: is_now(daemon, name, "unhealthy"))
    assert daemon.docker("top", name).out.count("sleep 4322") <= 2, "no more than one check's"


def test_much_output_is_cut(daemon: Engine, name: str) -> None:
    run(daemon, name, "--health-cmd", "seq 1 5000; exit 1", *FAST)
    until(lambda: is_now(daemon, name, "unhealthy"))
    output = health(daemon, name)["Log"][-1]["Output"]
    assert (len(output), output[:4], output[-3:]) == (4096 + 3, "1\n2\n", "...")


def test_a_program_that_is_not_there(daemon: Engine, name: str) -> None:
    request = {
        "Image": "busybox",
        "Cmd": ["sleep", "300"],
        "Healthcheck": {"Test": ["CMD", "/no/such"], "Interval": 200_000_000, "Retries": 1},
        "HostConfig": {"NetworkMode": "none"},
    }
    assert daemon.api("POST", f"/containers/create?name={name}", request)[0] == 201
    daemon.docker("start", name)
    until(lambda: is_now(daemon, name, "unhealthy"))
    last = health(daemon, name)["Log"][-1]
    assert last["ExitCode"] == -1
    assert "no such file or directory" in last["Output"]


def test_it_rests_with_the_container_and_begins_anew(daemon: Engine, name: str) -> None:
    run(daemon, name, "--health-cmd", "true", *FAST)
    until(lambda: is_now(daemon, name, "healthy"))
    daemon.docker("pause", name)
    seen = health(daemon, name)
    assert seen["Status"] == "unhealthy", "Docker says so when nobody looks"
    assert shown(daemon, name).endswith("(Paused)")
    daemon.docker("unpause", name)
    until(lambda: is_now(daemon, name, "healthy"))
    daemon.docker("stop", "-t", "0", name)
    seen = health(daemon, name)
    assert seen["Status"] == "unhealthy"
    assert name in names(daemon, "unhealthy")
    daemon.docker("start", name)
    again = health(daemon, name)
    assert (again["Status"], again["FailingStreak"]) == ("starting", 0)
    assert again["Log"] == seen["Log"]


def with_healthcheck(*test: str) -> bytes:
    """An image whose configuration has a health check."""
    config = {"Healthcheck": {"Test": list(test), "Interval": 300_000_000, "Retries": 1}}
    return images.docker_archive(["checked:1"], [images.busybox_layer()], config)


def test_the_image_may_bring_it(daemon: Engine, name: str) -> None:
    archive = with_healthcheck("CMD-SHELL", "test -e /go")
    assert daemon.api("POST", "/images/load", archive)[0] == 200
    line = ["create", "--network", "none", "--name", name]
    daemon.docker(*line, "--health-cmd", "true", "checked:1", "sleep", "300")
    wanted = {"Test": ["CMD-SHELL", "true"], "Interval": 300_000_000, "Retries": 1}
    assert daemon.get(f"/containers/{name}/json")["Config"]["Healthcheck"] == wanted
    daemon.docker("rm", name)
    daemon.docker(*line, "--no-healthcheck", "checked:1", "sleep", "300")
    daemon.docker("start", name)
    assert daemon.get(f"/containers/{name}/json")["Config"]["Healthcheck"]["Test"] == ["NONE"]
    assert health(daemon, name) is None
    assert name in names(daemon, "none")
    daemon.docker("rm", "-f", name)
    daemon.docker(*line, "checked:1", "sleep", "300")
    daemon.docker("start", name)
    until(lambda: is_now(daemon, name, "unhealthy"))
    daemon.docker("rm", "-f", name)
    daemon.docker("rmi", "checked:1")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"Interval": 10}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Timeout": 10}, "Timeout in Healthcheck cannot be less than 1ms"),
        ({"StartPeriod": -1}, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ({"Retries": -1}, "Retries in Healthcheck cannot be negative"),
    ],
)
def test_refused(daemon: Engine, check: dict[str, int], message: str) -> None:
    request = {"Image": "busybox", "Healthcheck": {"Test": ["CMD", "true"], **check}}
    status, body = daemon.api("POST", "/containers/create", request)
    assert (status, json.loads(body)["message"]) == (400, message)


def end(daemon: Engine, name: str) -> tuple[str, int]:
    found = daemon.get(f"/containers/{name}/json")["State"]
    return found["Status"], found["ExitCode"]


@pytest.mark.parametrize(("action", "code"), [("kill", 137), ("stop", 9)])
def test_an_unhealthy_one_is_ended_on_request(
    daemon: Engine, name: str, is_knarr: bool, action: str, code: int
) -> None:
    if not is_knarr:
        pytest.skip("knarr's own")
    options = ("--health-on-failure", action, "--restart", "always", "--health-cmd", "false")
    script = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
    line = ["run", "-d", "--network", "none", "--name", name, *options, *FAST, "busybox"]
    daemon.knarr(*line, "sh", "-c", script)
    annotations = daemon.get(f"/containers/{name}/json")["HostConfig"]["Annotations"]
    assert annotations == {"io.knarr.health-on-failure": action}
    until(lambda: end(daemon, name) == ("exited", code))
    assert daemon.get(f"/containers/{name}/json")["RestartCount"] == 0


def test_an_unhealthy_one_is_started_anew_on_request(
    daemon: Engine, name: str, is_knarr: bool
) -> None:
    if not is_knarr:
        pytest.skip("knarr's own")
    options = ("--annotation", "io.knarr.health-on-failure=restart", "--stop-timeout", "0")
    run(daemon, name, *options, "--health-cmd", "false", *FAST)
    until(lambda: daemon.get(f"/containers/{name}/json")["RestartCount"] >= 2)
    daemon.docker("stop", "-t", "0", name)
    assert end(daemon, name)[0] == "exited"


def test_what_is_done_on_failure_can_be_changed(daemon: Engine, name: str, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("knarr's own")
    run(daemon, name, "--annotation", "a=b", "--health-cmd", "false", *FAST)
    until(lambda: is_now(daemon, name, "unhealthy"))
    assert daemon.knarr("update", "--health-on-failure", "x", name, check=False).code == 1
    daemon.knarr("update", "--health-on-failure", "kill", name)
    until(lambda: end(daemon, name) == ("exited", 137))
    annotations = daemon.get(f"/containers/{name}/json")["HostConfig"]["Annotations"]
    assert annotations == {"a": "b", "io.knarr.health-on-failure": "kill"}


def test_what_cannot_be_done_on_failure(daemon: Engine, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("knarr's own")
    for options, message in (
        (("--health-on-failure", "stop"), 'health-on-failure "stop" needs a health check'),
        (("--health-cmd", "true", "--health-on-failure", "x"), 'invalid health-on-failure "x"'),
        (
            ("--rm", "--health-cmd", "true", "--health-on-failure", "restart"),
            "can't create 'AutoRemove' container",
        ),
    ):
        done = daemon.knarr("create", *options, "busybox", "true", check=False)
        assert done.code != 0
        assert message in done.err

"""Restart policies, stop and kill, and the conditions of wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.engine import Engine
from support.waiting import until

#: Ends with 5 at SIGHUP and with 7 at SIGTERM, and does not heed SIGINT.
LISTENING = "trap 'exit 5' HUP; trap 'exit 7' TERM; trap '' INT; echo ready;"
LISTENING += " while :; do sleep 0.05; done"


def found(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/containers/{name}/json")


def status(daemon: Engine, name: str) -> tuple[str, int]:
    state = found(daemon, name)["State"]
    return state["Status"], state["ExitCode"]


def run(daemon: Engine, name: str, *options: str, script: str) -> None:
    line = ["run", "-d", "--network", "none", "--name", name, *options, "busybox", "sh", "-c"]
    daemon.docker(*line, script)
    if "ready" in script:
        until(lambda: "ready" in daemon.docker("logs", name).out)


def actions(daemon: Engine, name: str) -> list[str]:
    line = ["events", "--since", "0", "--until", str(time.time() + 0.5)]
    told = daemon.docker(*line, "--filter", f"container={name}", "--format", "{{.Action}}").out
    return [each for each in str(told).split() if each not in ("create", "attach")]


@pytest.mark.parametrize(
    ("policy", "command", "runs"),
    [
        ("no", "exit 1", 1),
        ("on-failure", "exit 0", 1),
        ("on-failure:1", "exit 3", 2),
        ("unless-stopped", "test -e /again && sleep 300; touch /again", 2),
        ("always", "test -e /again && sleep 300; touch /again", 2),
    ],
)
def test_policies(daemon: Engine, name: str, policy: str, command: str, runs: int) -> None:
    run(daemon, name, "--restart", policy, script=f"echo run; {command}")
    until(lambda: daemon.docker("logs", name).out == "run\n" * runs)
    until(lambda: status(daemon, name)[0] == ("running" if "sleep" in command else "exited"))
    assert found(daemon, name)["RestartCount"] == runs - 1
    wanted, _, count = policy.partition(":")
    kept = found(daemon, name)["HostConfig"]["RestartPolicy"]
    assert kept == {"Name": wanted, "MaximumRetryCount": int(count or 0)}


def test_between_two_runs(daemon: Engine, name: str) -> None:
    run(daemon, name, "--restart", "always", script="exit 4")
    until(lambda: found(daemon, name)["RestartCount"] >= 5)
    until(lambda: found(daemon, name)["State"]["Restarting"])
    state = found(daemon, name)["State"]
    assert (state["Status"], state["Running"], state["Pid"]) == ("restarting", True, 0)
    assert state["ExitCode"] == 4
    shown = daemon.docker("ps", "--format", "{{.Status}}", "--filter", f"name={name}").line
    assert shown.startswith("Restarting (4)")
    status_code, body = daemon.api("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})
    assert status_code == 409
    assert "is restarting, wait until the container is running" in json.loads(body)["message"]
    assert daemon.api("POST", f"/containers/{name}/start")[0] == 304
    assert found(daemon, name)["State"]["Restarting"]
    assert daemon.docker("rm", name, check=False).code == 1
    assert daemon.api("POST", f"/containers/{name}/stop")[0] == 204
    assert status(daemon, name) == ("exited", 4)
    count = found(daemon, name)["RestartCount"]
    assert actions(daemon, name)[-1] == "stop"
    assert daemon.api("POST", f"/containers/{name}/stop")[0] == 304
    daemon.docker("start", name)
    until(lambda: found(daemon, name)["RestartCount"] in range(1, count))
    daemon.docker("rm", "-f", name)


def test_kill_between_two_runs(daemon: Engine, name: str) -> None:
    run(daemon, name, "--restart", "always", script="exit 4")
    until(lambda: found(daemon, name)["RestartCount"] >= 4)
    until(lambda: found(daemon, name)["State"]["Restarting"])
    daemon.docker("kill", name)
    until(lambda: status(daemon, name) == ("exited", 4))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("stop -t 5", 7),
        ("stop -s HUP -t 5", 5),
        ("kill", 137),
        ("kill -s TERM", 7),
        ("kill -s sigterm", 7),
        ("kill -s 15", 7),
        ("kill -s HUP", 5),
    ],
)
def test_who_ends_it_by_hand_does_not_see_it_again(
    daemon: Engine, name: str, is_knarr: bool, how: str, code: int
) -> None:
    if how.startswith("stop -s") and not is_knarr:
        pytest.skip("newer than this Docker")
    run(daemon, name, "--restart", "always", script=LISTENING)
    daemon.docker(*how.split(), name)
    until(lambda: status(daemon, name) == ("exited", code))
    time.sleep(0.3)  # more than the first pause of the policy
    assert status(daemon, name) == ("exited", code)


def test_a_signal_that_is_not_the_stop_signal_leaves_the_policy(daemon: Engine, name: str) -> None:
    run(daemon, name, "--restart", "always", "--stop-signal", "TERM", script=LISTENING)
    daemon.docker("kill", "-s", "HUP", name)
    until(lambda: found(daemon, name)["RestartCount"] == 1)
    until(lambda: status(daemon, name)[0] == "running")


def test_one_that_cannot_be_started_again_stays_ended(daemon: Engine, name: str) -> None:
    run(daemon, name, "--restart", "always", script="rm /bin/sh; exit 6")
    until(lambda: found(daemon, name)["State"]["Error"])
    until(lambda: status(daemon, name) == ("exited", 6))
    assert "executable file not found in $PATH" in found(daemon, name)["State"]["Error"]
    assert found(daemon, name)["RestartCount"] == 1


def test_update_while_it_runs(daemon: Engine, name: str) -> None:
    run(daemon, name, script="while ! test -e /end; do sleep 0.05; done; rm /end; exit 3")
    daemon.docker("update", "--restart", "on-failure:5", name)
    daemon.docker("exec", name, "touch", "/end", check=False)  # it may go down with it
    until(lambda: found(daemon, name)["RestartCount"] == 1)
    until(lambda: status(daemon, name)[0] == "running")
    daemon.docker("update", "--restart", "no", name)
    daemon.docker("exec", name, "touch", "/end", check=False)  # it may go down with it
    until(lambda: status(daemon, name) == ("exited", 3))
    daemon.docker("update", "--restart", "always", name)
    assert status(daemon, name) == ("exited", 3), "it is not started for that"


def test_policies_that_cannot_be(daemon: Engine, name: str) -> None:
    done = daemon.docker("run", "--rm", "--restart", "always", "busybox", check=False)
    assert done.code == 125
    assert "conflicting options: cannot specify both --restart and --rm" in done.err
    request: dict[str, Any] = {"Image": "busybox", "HostConfig": {"AutoRemove": True}}
    request["HostConfig"]["RestartPolicy"] = {"Name": "always"}
    code, body = daemon.api("POST", "/containers/create", request)
    message = json.loads(body)["message"]
    assert (code, message) == (400, "can't create 'AutoRemove' container with restart policy")
    run(daemon, name, "--rm", script="sleep 300")
    done = daemon.docker("update", "--restart", "always", name, check=False)
    assert done.code == 1
    assert "Restart policy cannot be updated because AutoRemove is enabled" in done.err


def test_stop_takes_signal_and_time_of_the_container(daemon: Engine, name: str) -> None:
    run(daemon, name, "--stop-signal", "HUP", "--stop-timeout", "9", script=LISTENING)
    daemon.docker("stop", name)
    assert status(daemon, name) == ("exited", 5)
    daemon.docker("rm", name)
    run(daemon, name, "--stop-signal", "SIGINT", "--stop-timeout", "0", script=LISTENING)
    daemon.docker("stop", name)
    assert status(daemon, name) == ("exited", 137)
    signals = actions(daemon, name)[-4:]
    assert signals == ["kill", "kill", "die", "stop"]


def test_an_end_by_a_signal_has_its_number(daemon: Engine, name: str) -> None:
    line = ["run", "-d", "--init", "--network", "none", "--name", name, "busybox", "sleep", "300"]
    daemon.docker(*line)
    for signal, code in (("TERM", 143), ("INT", 130), ("USR1", 138), ("RTMIN+2", 164)):
        daemon.docker("kill", "-s", signal, name)
        until(lambda code=code: status(daemon, name) == ("exited", code))
        daemon.docker("start", name)
    daemon.docker("stop", name)
    assert status(daemon, name) == ("exited", 143)


def test_a_frozen_one_is_thawed_by_what_ends_it(daemon: Engine, name: str) -> None:
    run(daemon, name, script=LISTENING)
    daemon.docker("pause", name)
    daemon.docker("stop", "-t", "5", name)
    assert status(daemon, name) == ("exited", 7)


def wait_for(daemon: Engine, name: str, condition: str) -> Callable[[], dict[str, Any]]:
    """Begin to wait; the answer is what the returned function returns."""
    answers: list[bytes] = []
    path = f"/containers/{name}/wait" + (f"?condition={condition}" if condition else "")
    waiting = threading.Thread(target=lambda: answers.append(daemon.api("POST", path)[1]))
    waiting.start()

    def answer() -> dict[str, Any]:
        waiting.join(30)
        found: dict[str, Any] = json.loads(answers[0])
        return {key: value for key, value in found.items() if value is not None}

    return answer


def test_what_has_never_run_is_not_running(daemon: Engine, name: str) -> None:
    daemon.docker("create", "--network", "none", "--name", name, "busybox", "true")
    assert wait_for(daemon, name, "")() == {"StatusCode": 0}
    assert wait_for(daemon, name, "not-running")() == {"StatusCode": 0}
    next_exit, removed = (wait_for(daemon, name, each) for each in ("next-exit", "removed"))
    time.sleep(0.3)  # for the requests to come in
    daemon.docker("rm", name)
    assert next_exit() == {"StatusCode": 0}, "its removal ends every wait"
    assert removed() == {"StatusCode": 0}
    assert daemon.api("POST", f"/containers/{name}/wait")[0] == 404


def test_waiting_for_one_that_starts_again_and_again(daemon: Engine, name: str) -> None:
    run(daemon, name, "--restart", "always", script="sleep 1; exit 4")
    waits = [wait_for(daemon, name, each) for each in ("not-running", "next-exit")]
    removed = wait_for(daemon, name, "removed")
    assert [answer() for answer in waits] == [{"StatusCode": 4}] * 2
    until(lambda: found(daemon, name)["State"]["Restarting"])
    assert daemon.docker("wait", name).line == "4", "it counts as running: the next end"
    daemon.docker("rm", "-f", name)
    assert removed()["StatusCode"] in (4, 137)


def test_waiting_for_one_that_is_removed_at_its_end(daemon: Engine, name: str) -> None:
    run(daemon, name, "--rm", script=LISTENING)
    waits = [wait_for(daemon, name, each) for each in ("not-running", "next-exit", "removed")]
    time.sleep(0.3)  # for the requests to come in
    daemon.docker("kill", "-s", "TERM", name)
    assert [answer() for answer in waits] == [{"StatusCode": 7}] * 3
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 404


def test_restart_is_told_in_dockers_order(daemon: Engine, name: str) -> None:
    run(daemon, name, script=LISTENING)
    daemon.docker("restart", "-t", "5", name)
    assert actions(daemon, name) == ["start", "kill", "die", "stop", "start", "restart"]

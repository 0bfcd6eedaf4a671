"""The event stream: what is told of what, in which form, and how it is chosen."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from support import images, probes
from support.engine import Engine


def events(daemon: Engine, *options: str, since: str = "0") -> list[dict[str, Any]]:
    """The events of the past; docker cuts a moment that is given as a duration."""
    line = ["events", "--since", since, "--until", str(time.time() + 0.3), *options]
    lines = daemon.docker(*line, "--format", "{{json .}}").out.splitlines()
    return [json.loads(each) for each in lines]


def words(told: list[dict[str, Any]], *without: str) -> list[str]:
    """Kind and action of each, without those of some kinds."""
    return [f"{each['Type']} {each['Action']}" for each in told if each["Type"] not in without]


@pytest.fixture
def since() -> str:
    """A moment before everything that the test does."""
    return str(time.time())


def test_the_life_of_a_container(daemon: Engine, name: str, since: str) -> None:
    options = ["--network", "none", "--label", "a=b", "-v", f"{name}v:/v:ro", "-v", "/anonymous"]
    daemon.docker("create", "--name", name, *options, "busybox", "sh", "-c", "exit 3")
    daemon.docker("start", "-a", name, check=False)
    daemon.docker("rename", name, f"{name}x")
    daemon.docker("rm", "-v", f"{name}x")
    daemon.docker("volume", "rm", f"{name}v")
    told = events(daemon, since=since)
    assert sorted(words(told)) == [
        "container attach",
        "container create",
        "container destroy",
        "container die",
        "container rename",
        "container start",
        "network connect",
        "network disconnect",
        "volume create",
        "volume create",
        "volume destroy",
        "volume destroy",
        "volume mount",
        "volume mount",
        "volume unmount",
        "volume unmount",
    ]
    by_action = {each["Action"]: each for each in told if each["Type"] == "container"}
    start = by_action["start"]
    attributes = {"a": "b", "image": "busybox", "name": name}
    assert start["Actor"]["Attributes"] == attributes
    assert (start["status"], start["id"], start["from"], start["scope"]) == (
        "start",
        start["Actor"]["ID"],
        "busybox",
        "local",
    )
    assert start["timeNano"] // 10**9 == start["time"]
    renamed = by_action["rename"]["Actor"]["Attributes"]
    assert renamed == {**attributes, "name": f"{name}x", "oldName": f"/{name}"}
    assert by_action["die"]["Actor"]["Attributes"]["exitCode"] == "3"
    mounts = {
        each["Actor"]["Attributes"]["destination"]: each["Actor"]
        for each in told
        if each["Action"] == "mount"
    }
    assert mounts["/v"] == {
        "ID": f"{name}v",
        "Attributes": {
            "container": start["id"],
            "destination": "/v",
            "driver": "local",
            "propagation": "",
            "read/write": "false",
        },
    }
    assert mounts["/anonymous"]["Attributes"]["read/write"] == "true"
    (unmounted,) = (
        each for each in told if (each["Action"], each["Actor"]["ID"]) == ("unmount", f"{name}v")
    )
    assert unmounted["Actor"]["Attributes"] == {"container": start["id"], "driver": "local"}
    assert "status" not in unmounted
    joined, left = (each["Actor"] for each in told if each["Type"] == "network")
    assert joined == left
    assert joined == {
        "ID": daemon.get("/networks/none")["Id"],
        "Attributes": {"container": start["id"], "name": "none", "type": "null"},
    }


def test_what_is_done_to_a_container(daemon: Engine, background: str, since: str) -> None:
    container = daemon.get(f"/containers/{background}/json")["Id"]
    daemon.docker("top", background)
    daemon.docker("pause", background)
    daemon.docker("unpause", background)
    daemon.docker("update", "--cpu-shares", "512", background)
    daemon.docker("exec", background, "true")
    daemon.docker("exec", background, "/no/such", check=False)
    daemon.docker("kill", "-s", "CONT", background)
    daemon.docker("stop", background)
    told = [each for each in events(daemon, since=since) if each["Actor"]["ID"] == container]
    seen = words(told)
    assert seen[:4] == [
        "container top",
        "container pause",
        "container unpause",
        "container update",
    ]
    assert sorted(seen[4:-4]) == [
        "container exec_create: /no/such ",
        "container exec_create: true ",
        "container exec_die",
        "container exec_start: /no/such ",
        "container exec_start: true ",
    ]
    assert seen[-4:] == ["container kill", "container kill", "container die", "container stop"]
    signals = [each["Actor"]["Attributes"]["signal"] for each in told if each["Action"] == "kill"]
    assert signals == ["18", "15"]


def test_a_terminal(daemon: Engine, name: str, since: str) -> None:
    line = ["run", "-dt", "--network", "none", "--name", name, "busybox", "sleep", "300"]
    daemon.docker(*line)
    assert daemon.api("POST", f"/containers/{name}/resize?h=10&w=20")[0] == 200
    (told,) = events(daemon, "--filter", f"container={name}", "-f", "event=resize", since=since)
    assert told["Actor"]["Attributes"] == {
        "height": "10",
        "image": "busybox",
        "name": name,
        "width": "20",
    }


def test_memory(daemon: Engine, name: str, since: str) -> None:
    limit = ["--network", "none", "--name", name, "-m", "8m", "--memory-swap", "8m"]
    daemon.docker("run", *limit, "busybox", "tail", "/dev/zero", check=False)
    seen = words([each for each in events(daemon, since=since) if each["Type"] == "container"])
    assert "container oom" in seen
    assert seen[-1] == "container die"


def test_images(daemon: Engine, since: str) -> None:
    config = {"Labels": {"made": "here"}}
    archive = images.docker_archive(["told:1"], [images.busybox_layer()], config)
    assert daemon.api("POST", "/images/load", archive)[0] == 200
    identity = daemon.get("/images/told:1/json")["Id"]
    daemon.docker("tag", "told:1", "told:2")
    assert daemon.api("GET", "/images/told:1/get")[0] == 200
    daemon.docker("rmi", "told:2")
    daemon.docker("rmi", "told:1")
    told = [each for each in events(daemon, since=since) if each["Actor"]["ID"] == identity]
    assert words(told) == [
        "image load",
        "image tag",
        "image save",
        "image untag",
        "image untag",
        "image delete",
    ]
    assert told[1]["Actor"]["Attributes"] == {"made": "here", "name": "told:2"}
    assert told[3]["Actor"]["Attributes"] == {"made": "here", "name": identity}
    assert told[-1]["Actor"]["Attributes"] == {"name": identity}


def test_prunes(daemon: Engine, since: str) -> None:
    daemon.docker("container", "prune", "-f", "--filter", "label=no-such-label")
    daemon.docker("volume", "prune", "-f", "--filter", "label=no-such-label")
    daemon.docker("image", "prune", "-f", "--filter", "label=no-such-label")
    told = events(daemon, "--filter", "event=prune", since=since)
    assert words(told) == ["container prune", "volume prune", "image prune"]
    assert {json.dumps(each["Actor"]) for each in told} == {
        '{"ID": "", "Attributes": {"reclaimed": "0"}}'
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("event=start", "start"),
        ("event=start event=die", "start die"),
        ("event=exec", ""),
        ("event=exec_create", "exec_create: echo x"),
        ("event=exec_start: event=exec_start", "exec_start: echo x"),
        ("type=volume", ""),
        ("type=container event=create", "create"),
        ("label=tier=front event=die", "die"),
        ("label=tier label=other=1 event=die", "die"),
        ("label=tier=back", ""),
        ("image=busybox event=die", "die"),
        ("image=busybox:other", ""),
        ("scope=local event=die", "die"),
        ("scope=swarm", ""),
        ("daemon=x", ""),
        ("nosuch=filter event=die", "die"),
    ],
)
def test_filters(daemon: Engine, told_of: tuple[str, str], options: str, expected: str) -> None:
    name, since = told_of
    line = [word for option in options.split() for word in ("--filter", option)]
    found = events(daemon, "--filter", f"container={name}", *line, since=since)
    assert " ".join(each["Action"] for each in found) == expected


@pytest.fixture(scope="module")
def told_of(daemon: Engine) -> tuple[str, str]:
    """The name of a container that has come and gone, and when."""
    since = str(time.time())
    name = f"told{time.time_ns()}"
    labels = ["--label", "tier=front", "--label", "other=1"]
    line = ["run", "-d", "--network", "none", "--name", name, *labels, "busybox"]
    daemon.docker(*line, "sleep", "300")
    daemon.docker("exec", name, "echo", "x")
    daemon.docker("kill", name)
    daemon.docker("rm", name)
    return name, since


def test_beginnings_count(daemon: Engine, told_of: tuple[str, str]) -> None:
    name, since = told_of
    (destroyed, *_) = events(daemon, "-f", f"container={name[:-2]}", "-f", "event=destroy")
    by_id = events(
        daemon, "-f", f"container={destroyed['id'][:9]}", "-f", "event=destroy", since=since
    )
    assert [each["id"] for each in by_id] == [destroyed["id"]]


def test_bounds(daemon: Engine, name: str, since: str) -> None:
    daemon.docker("create", "--network", "none", "--name", name, "busybox")
    time.sleep(0.01)
    middle = f"{time.time_ns() // 10**9}.{time.time_ns() % 10**9:09}"
    time.sleep(0.01)
    daemon.docker("rm", name)

    def between(*bounds: str) -> str:
        line = ["events", *bounds, "--filter", f"container={name}", "--format", "{{.Action}}"]
        return " ".join(daemon.docker(*line).out.split())

    end = ("--until", str(time.time() + 0.2))
    assert between("--since", since, "--until", middle) == "create"
    assert between("--since", middle, *end) == "destroy"
    assert between("--since", "10m", *end) == "create destroy"
    assert between(*end) == "create destroy", "an end alone asks for all of the past"
    today = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(float(since) - 5))
    assert between("--since", today, *end) == "create destroy"
    zoned = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(since) - 5))
    assert between("--since", zoned, *end) == "create destroy"
    status, body = daemon.api("GET", "/events?since=10&until=5")
    message = "`since` time (10) cannot be after `until` time (5)"
    assert (status, json.loads(body)["message"]) == (400, message)
    assert daemon.docker("events", "--since", "yesterday", check=False).code == 1


def test_the_text(daemon: Engine, name: str, since: str) -> None:
    daemon.docker("create", "--network", "none", "--name", name, "busybox")
    container = daemon.get(f"/containers/{name}/json")["Id"]
    line = ["events", "--since", since, "--until", str(time.time() + 0.2)]
    line += ["--filter", f"container={name}"]
    _, rest = daemon.docker(*line).line.split(" ", 1)
    assert rest == f"container create {container} (image=busybox, name={name})"
    form = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Status}}"
    assert daemon.docker(*line, "--format", form).line == f"container create {name} create"
    for option in (
        [],
        ["json"],
        ["{{json .}}"],
        [form],
        ["{{json .Actor}} {{.From}}"],
        ["{{.No}}"],
    ):
        options = ["--format", *option] if option else []
        docker, knarr = (run(*line, *options, check=False) for run in (daemon.docker, daemon.knarr))
        assert (knarr.code, knarr.out) == (docker.code, docker.out)


def test_what_happens_is_told_at_once(daemon: Engine, name: str) -> None:
    program = probes.docker_cli()
    assert program
    watching = subprocess.Popen(
        [program, "events", "--filter", f"container={name}", "--format", "{{.Action}}"],
        env=daemon.client_env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout
    try:
        time.sleep(0.5)  # for its request to come in
        for command in (["create", "--network", "none", "--name", name, "busybox"], ["rm", name]):
            daemon.docker(*command)
            assert watching.stdout.readline().strip() in ("create", "destroy")
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()

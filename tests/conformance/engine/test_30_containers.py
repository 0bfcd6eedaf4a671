from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from support.engine import Engine


def inspect(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/containers/{name}/json")


def create(daemon: Engine, name: str, **changes: Any) -> tuple[int, Any]:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}} | changes
    status, answer = daemon.api("POST", f"/containers/create?name={quote(name)}", body)
    return status, json.loads(answer)


def test_create_and_inspect(daemon: Engine, name: str) -> None:
    status, made = create(daemon, name, Env=["A=b"], Labels={"k": "v"}, WorkingDir="/tmp")
    assert status == 201
    assert re.fullmatch(r"[0-9a-f]{64}", made["Id"])
    found = inspect(daemon, name)
    assert found["Id"] == made["Id"]
    assert found["Name"] == f"/{name}"
    assert (found["Path"], found["Args"]) == ("true", [])
    assert found["State"]["Status"] == "created"
    assert found["State"]["StartedAt"] == "0001-01-01T00:00:00Z"
    assert found["State"]["Pid"] == 0
    assert found["Config"]["Hostname"] == made["Id"][:12]
    assert "A=b" in found["Config"]["Env"]
    assert any(each.startswith("PATH=") for each in found["Config"]["Env"])
    assert found["Config"]["Labels"] == {"k": "v"}
    assert found["Config"]["WorkingDir"] == "/tmp"
    assert found["Config"]["Image"] == "busybox"
    assert found["Image"] == daemon.get("/images/busybox/json")["Id"]
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ShmSize"] == 64 << 20
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert "/proc/kcore" in host["MaskedPaths"]
    assert "/proc/sys" in host["ReadonlyPaths"]
    assert found["Mounts"] == []
    assert "none" in found["NetworkSettings"]["Networks"]
    assert "SizeRw" not in found
    assert isinstance(daemon.get(f"/containers/{name}/json?size=1")["SizeRw"], int)


def test_names_and_ids(daemon: Engine, name: str) -> None:
    made = create(daemon, name)[1]["Id"]
    for ref in (name, made, made[:12], made[:6]):
        assert inspect(daemon, ref)["Id"] == made


@pytest.mark.parametrize("bad", ["a b", "ä", "-x", "a/b", ".x", "x"])
def test_bad_names(daemon: Engine, bad: str) -> None:
    status, answer = create(daemon, bad)
    assert status == 400
    assert answer["message"].startswith(f"Invalid container name ({bad}), only [a-zA-Z0-9]")


def test_name_in_use(daemon: Engine, name: str) -> None:
    made = create(daemon, name)[1]["Id"]
    status, answer = create(daemon, name)
    assert status == 409
    assert answer["message"] == (
        f'Conflict. The container name "/{name}" is already in use by container "{made}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"Image": "nosuch:x"}, 404, "No such image: nosuch:x"),
        ({"Image": "UPPER"}, 400, "invalid reference format"),
        ({"Env": ["=x"]}, 400, "invalid environment variable"),
        ({"WorkingDir": "relative"}, 400, "the working directory 'relative' is invalid"),
        ({"StopSignal": "SIGNOSUCH"}, 400, "invalid signal: SIGNOSUCH"),
        ({"Cmd": [], "Image": "busybox", "Entrypoint": [""]}, 400, "no command specified"),
        ({"HostConfig": {"Memory": 1024}}, 400, "inimum memory limit allowed is"),
        (
            {"HostConfig": {"Memory": 1 << 30, "MemorySwap": 1 << 29}},
            400,
            "inimum memoryswap limit",
        ),
        ({"HostConfig": {"NanoCpus": 10**15}}, 400, "ange of CPUs is from 0.01 to"),
        ({"HostConfig": {"Binds": ["/a:/b:ro:x"]}}, 400, None),
        ({"HostConfig": {"Binds": ["/a:relative"]}}, 400, None),
        ({"HostConfig": {"Binds": ["/a:/b:nosuchmode"]}}, 400, "invalid mode: nosuchmode"),
        ({"HostConfig": {"RestartPolicy": {"Name": "perhaps"}}}, 400, "restart policy"),
        ({"HostConfig": {"CapAdd": ["CAP_NOSUCH"]}}, 400, "CAP_NOSUCH"),
        (
            {"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nosuch", "Target": "/x"}]}},
            400,
            "bind source path does not exist",
        ),
        ({"HostConfig": {"Mounts": [{"Type": "nosuch", "Target": "/x"}]}}, 400, "mount type"),
        ({"HostConfig": {"LogConfig": {"Type": "nosuch"}}}, 400, "nosuch"),
    ],
)
def test_what_create_refuses(
    daemon: Engine,
    name: str,
    answers: Callable[[int, int], bool],
    changes: dict[str, Any],
    status: int,
    message: str | None,
) -> None:
    got, answer = create(daemon, name, **changes)
    assert answers(got, status), answer
    if message:
        assert message.lower() in answer["message"].lower()
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 404


def test_list(daemon: Engine, name: str) -> None:
    made = create(daemon, name, Labels={"mark": name}, Cmd=["sh", "-c", "exit 3"])[1]["Id"]

    def listed(every: bool = True, **filters: list[str]) -> list[Any]:
        text = quote(json.dumps({"label": [f"mark={name}"], **filters}))
        return list(daemon.get(f"/containers/json?all={int(every)}&filters={text}"))

    (found,) = listed()
    assert found["Id"] == made
    assert found["Names"] == [f"/{name}"]
    assert found["Image"] == "busybox"
    assert found["Command"] == "sh -c 'exit 3'"
    assert (found["State"], found["Status"]) == ("created", "Created")
    assert abs(found["Created"] - time.time()) < 60
    assert found["HostConfig"]["NetworkMode"] == "none"
    assert found["Ports"] == []
    assert found["Mounts"] == []
    assert listed(every=False) == []
    daemon.docker("start", "-a", name, check=False)
    (found,) = listed()
    assert found["State"] == "exited"
    assert re.fullmatch(r"Exited \(3\) (Less than a second|\d+ seconds?) ago", found["Status"])
    assert len(listed(status=["exited"])) == 1
    assert listed(status=["running"]) == []
    assert len(listed(exited=["3"])) == 1
    assert listed(exited=["0"]) == []
    assert len(listed(name=[name[:5]])) == 1
    assert len(listed(id=[made[:10]])) == 1
    assert len(listed(ancestor=["busybox"])) == 1
    assert listed(ancestor=["nosuch"]) == []
    status, _ = daemon.api("GET", "/containers/json?filters=" + quote('{"status":["odd"]}'))
    assert status == 400


def test_list_order_and_limit(daemon: Engine, name: str) -> None:
    create(daemon, name)
    assert daemon.get("/containers/json?limit=1")[0]["Names"] == [f"/{name}"]
    assert daemon.docker("ps", "-l", "--format", "{{.Names}}").line == name


def test_ps_of_a_running_one(daemon: Engine, background: str) -> None:
    line = daemon.docker(
        "ps", "--filter", f"name={background}", "--format", "{{.Names}} {{.Status}}"
    )
    assert re.fullmatch(rf"{background} Up (Less than a second|\d+ seconds?|About.*)", line.line)
    (found,) = [
        each for each in daemon.get("/containers/json") if f"/{background}" in each["Names"]
    ]
    assert found["State"] == "running"


def test_rename(daemon: Engine, name: str) -> None:
    made = create(daemon, name)[1]["Id"]
    other = f"{name}-new"
    daemon.docker("rename", name, other)
    try:
        assert inspect(daemon, other)["Id"] == made
        assert daemon.api("GET", f"/containers/{name}/json")[0] == 404
        assert create(daemon, name)[0] == 201
        status, body = daemon.api("POST", f"/containers/{other}/rename?name={name}")
        assert status == 409
        assert "is already in use by container" in json.loads(body)["message"]
        assert daemon.api("POST", f"/containers/{other}/rename?name=")[0] == 400
    finally:
        daemon.docker("rm", "-f", other)


def test_rm(daemon: Engine, background: str) -> None:
    status, body = daemon.api("DELETE", f"/containers/{background}")
    assert status == 409
    assert json.loads(body)["message"].lower().startswith(
        "you cannot remove a running container "
    ) or ("is running: stop the container before removing" in json.loads(body)["message"])
    assert daemon.docker("rm", "-f", background).line == background
    assert daemon.api("GET", f"/containers/{background}/json")[0] == 404


def test_prune(daemon: Engine, name: str, background: str) -> None:
    other = f"{name}-stopped"
    made = create(daemon, other, Labels={"mark": name})[1]["Id"]
    filters = quote(json.dumps({"label": [f"mark={name}"]}))
    status, body = daemon.api("POST", f"/containers/prune?filters={filters}")
    assert status == 200
    assert json.loads(body)["ContainersDeleted"] == [made]
    assert inspect(daemon, background)["State"]["Running"] is True


def test_logs(daemon: Engine, name: str) -> None:
    script = "echo one; echo two >&2; sleep 0.3; printf three"
    daemon.docker("run", "--network", "none", "--name", name, "busybox", "sh", "-c", script)
    both = daemon.docker("logs", name)
    assert (both.out, both.err) == ("one\nthree", "two\n")
    assert daemon.docker("logs", "--tail", "1", name).out == "three"
    assert daemon.docker("logs", "-n", "0", name).out == ""
    stamped = daemon.docker("logs", "-t", name).out.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", line) for line in stamped)
    last = stamped[-1].split(" ")[0]
    assert daemon.docker("logs", "--since", last, name).out == "three"
    assert daemon.docker("logs", "--until", last[:-5] + "0000Z", name).out.startswith("one\n")
    assert daemon.docker("logs", "--follow", name).out == "one\nthree"
    status, _ = daemon.api("GET", f"/containers/{name}/logs")
    assert status == 400


def test_logs_that_are_followed(daemon: Engine, name: str) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"
    daemon.docker("run", "-d", "--network", "none", "--name", name, "busybox", "sh", "-c", script)
    assert daemon.docker("logs", "-f", name).out == "1\n2\n3\n4\n5\n"


def test_top(daemon: Engine, background: str) -> None:
    answer = daemon.get(f"/containers/{background}/top")
    assert "PID" in answer["Titles"]
    assert any("trap" in row[-1] for row in answer["Processes"])
    assert "PID" in daemon.docker("top", background).out
    assert daemon.get(f"/containers/{background}/top?ps_args=-o%20pid,comm")["Titles"] == [
        "PID",
        "COMMAND",
    ]


def test_update(daemon: Engine, background: str) -> None:
    daemon.docker("update", "--memory", "64m", "--memory-swap", "128m", background)
    assert inspect(daemon, background)["HostConfig"]["Memory"] == 64 << 20
    daemon.docker("update", "--restart", "on-failure:3", background)
    policy = inspect(daemon, background)["HostConfig"]["RestartPolicy"]
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 3}
    daemon.docker("update", "--restart", "no", background)

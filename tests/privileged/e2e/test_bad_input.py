"""Bad input gets Docker's status and a clear message, and leaves nothing half-made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import images
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

BASE = {"Image": "busybox:latest", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}


def message(body: bytes) -> str:
    return str(json.loads(body)["message"])


def create(engine: Engine, name: str, **changes: Any) -> tuple[int, bytes]:
    return engine.api("POST", f"/containers/create?name={name}", BASE | changes)


def names(engine: Engine) -> list[str]:
    return [item["Names"][0] for item in engine.get("/containers/json?all=1")]


def test_bad_json(engine: Engine) -> None:
    status, body = engine.api("POST", "/containers/create", b'{"Image": ')
    assert status == 400
    assert message(body)


@pytest.mark.parametrize("body", [b"[]", b'"x"', b'{"Image": 5}', b'{"Cmd": {"a": 1}}', b"\xff"])
def test_json_of_the_wrong_shape(engine: Engine, body: bytes) -> None:
    connection_status, answer = engine.api("POST", "/containers/create", body)
    assert connection_status == 400
    assert message(answer)


def test_unknown_image(engine: Engine) -> None:
    status, body = create(engine, "x1", Image="nosuch:tag")
    assert (status, message(body)) == (404, "No such image: nosuch:tag")
    done = engine.docker("run", "--pull", "never", "nosuch:tag", check=False)
    assert done.code == 125
    assert "nosuch:tag" in done.err


def test_name_in_use(engine: Engine) -> None:
    assert create(engine, "twice")[0] == 201
    status, body = create(engine, "twice")
    assert status == 409
    assert 'The container name "/twice" is already in use by container' in message(body)
    engine.knarr("rm", "twice")


def test_bad_name(engine: Engine) -> None:
    status, body = create(engine, "a%2Fb")
    assert status == 400
    assert "Invalid container name (a/b)" in message(body)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["nosuchprogram"], 127, 'exec: "nosuchprogram": executable file not found in $PATH'),
        (["/bin/nosuch"], 127, "no such file or directory"),
        (["/etc/passwd"], 126, "permission denied"),
        (["/etc"], 126, "permission denied"),
    ],
)
def test_program_that_cannot_run(engine: Engine, command: list[str], code: int, text: str) -> None:
    for program in (engine.docker, engine.knarr):
        done = program(
            "run", "--name", "cannot", "--network", "none", "busybox", *command, check=False
        )
        assert done.code == code, done
        assert text in done.err
        state = engine.get("/containers/cannot/json")["State"]
        assert (state["Status"], state["ExitCode"]) == ("created", code)
        engine.knarr("rm", "cannot")


def test_no_such_user(engine: Engine) -> None:
    done = engine.docker(
        "run", "--rm", "-u", "ghost", "--network", "none", "busybox", "true", check=False
    )
    assert done.code in (125, 126)
    assert "unable to find user ghost: no matching entries in passwd file" in done.err


def test_mount_of_a_missing_source(engine: Engine) -> None:
    done = engine.docker(
        *("run", "--rm", "--network", "none", "--mount", "type=bind,source=/nosuch,target=/x"),
        *("busybox", "true"),
        check=False,
    )
    assert done.code == 125
    assert "bind source path does not exist: /nosuch" in done.err


def test_volume_that_cannot_be_mounted(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = engine.docker(
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        f"{tmp_path}/file:/tmp",
        "busybox",
        "true",
        check=False,
    )
    assert done.code != 0
    assert "a file onto a directory" in done.err


@pytest.mark.parametrize(
    ("host_config", "text"),
    [
        ({"Memory": 1000}, "Minimum memory limit allowed is 6MB"),
        ({"NanoCpus": 100_000_000_000_000}, "ange of CPUs is from 0.01 to"),
        ({"CpusetCpus": "999"}, "Requested CPUs are not available"),
        ({"Memory": 64 << 20, "MemorySwap": 32 << 20}, "Minimum memoryswap limit should be larger"),
        ({"CapAdd": ["NOSUCH"]}, "CAP_NOSUCH"),
        ({"Binds": ["relative:/x:zz"]}, "invalid"),
        ({"SecurityOpt": ["nosuch=1"]}, "nosuch"),
        ({"NetworkMode": "nosuchnetwork"}, "nosuchnetwork"),
        ({"Runtime": "nosuchruntime"}, "nosuchruntime"),
    ],
)
def test_option_that_makes_no_sense(engine: Engine, host_config: dict[str, Any], text: str) -> None:
    before = names(engine)
    status, body = create(engine, "odd", HostConfig={"NetworkMode": "none"} | host_config)
    if status == 201:
        status, body = engine.api("POST", "/containers/odd/start")
        engine.knarr("rm", "-f", "odd")
    assert status in (400, 404, 409, 500)
    assert text in message(body)
    assert names(engine) == before


def test_unknown_things(engine: Engine) -> None:
    for method, path, text in (
        ("GET", "/containers/ghost/json", "No such container: ghost"),
        ("POST", "/containers/ghost/start", "No such container: ghost"),
        ("DELETE", "/containers/ghost", "No such container: ghost"),
        ("GET", "/images/ghost/json", "No such image: ghost"),
        ("DELETE", "/images/ghost", "No such image: ghost"),
        ("GET", "/exec/ghost/json", "No such exec instance: ghost"),
        ("GET", "/nosuchpage", "page not found"),
    ):
        status, body = engine.api(method, path)
        assert status == 404, path
        assert text in message(body)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Busybox", "must be lowercase"),
        ("a//b", "invalid reference format"),
        ("busybox:" + "t" * 129, "invalid reference format"),
    ],
)
def test_bad_reference(engine: Engine, name: str, text: str) -> None:
    status, body = create(engine, "ref", Image=name)
    assert status == 400
    assert text in message(body)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 24 MiB."""
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(point)], check=True)
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_full_disk(small_disk: Path, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(busybox=False, base=small_disk / "engine")
    big = images.layer({"big": ("file", bytes(32 << 20))})
    archive = images.docker_archive(["big:latest"], [big])
    status, body = engine.api("POST", "/images/load", archive)
    assert b"no space left" in body.lower() or b"disk is full" in body.lower()
    assert status in (200, 500, 507)  # the stream may have begun: then the error stands in it
    tags = [tag for item in engine.get("/images/json") for tag in item["RepoTags"]]
    assert "big:latest" not in tags
    assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
    out = engine.knarr("run", "--rm", "--network", "none", "busybox", "echo", "works").line
    assert out == "works"


def test_pruning_everything_is_no_error(engine: Engine) -> None:
    """There are no networks of users yet, so there is nothing of them to delete."""
    status, body = engine.api("POST", "/networks/prune")
    assert (status, json.loads(body)) == (200, {"NetworksDeleted": None})
    assert engine.api("POST", "/networks/prune?filters=%7B%22x%22:[%221%22]%7D")[0] == 400
    assert "Total reclaimed space" in engine.docker("system", "prune", "-f").out

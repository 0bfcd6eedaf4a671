"""knarr's command line beside docker's, on the same engine.

The suite runs against a knarr engine; with ``KNARR_CONFORMANCE_HOST=unix:///path`` against whatever
answers there, such as dockerd: so it is seen that differences are not the engine's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import knarr
from support import images, probes
from support.engine import Engine
from support.fake_engine import FakeEngine, Request, answer

PEER = os.environ.get("KNARR_CONFORMANCE_HOST", "")
HERE = Path(__file__).parent
KNARR = [sys.executable, "-I", "-S", str(Path(knarr.__file__).parent / "cli/__main__.py")]


class Outcome(NamedTuple):
    """What a command did, with the programs' names made equal."""

    code: int
    out: str
    err: str


Runner = Callable[..., Outcome]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.needs_docker_cli(28))
            if "both" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.needs_root)


def run(program: list[str], host: str, folder: Path, arguments: tuple[str, ...]) -> Outcome:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "KNARR_"))}
    done = subprocess.run(
        [*program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**kept, "DOCKER_HOST": host, "DOCKER_CONFIG": str(folder), "DOCKER_CLI_HINTS": "0"},
    )
    out, err = (
        text.decode(errors="replace").replace("docker", "knarr").replace("SRun '", "Run '")
        for text in (done.stdout, done.stderr)
    )
    return Outcome(done.returncode, out, err)


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the engine; it has the image ``busybox:latest``."""
    if not PEER:
        engine: Engine = request.getfixturevalue("engine")
        yield engine.host
        return
    other = Engine(tmp_path_factory.mktemp("peer"))
    other.host, other.socket = PEER, Path(PEER.removeprefix("unix://"))
    assert other.api("POST", "/images/load", images.busybox_archive())[0] == 200
    yield PEER


@pytest.fixture
def both(host: str, tmp_path: Path) -> Callable[..., tuple[Outcome, Outcome]]:
    """Run a command with docker and then with knarr."""
    docker = probes.docker_cli()
    assert docker

    def pair(*arguments: str) -> tuple[Outcome, Outcome]:
        first = run([docker], host, tmp_path, arguments)
        return first, run(KNARR, host, tmp_path, arguments)

    return pair


@pytest.fixture
def knarr_cli(host: str, tmp_path: Path) -> Runner:
    """Run a command with knarr."""
    return lambda *arguments: run(KNARR, host, tmp_path, arguments)


@pytest.fixture
def container(knarr_cli: Runner) -> Iterator[str]:
    """A running container, ``peer-c1``, with labels; and one that exited with 3, ``peer-c2``."""
    script = "while :; do sleep 1; done"
    made = knarr_cli(
        *("run", "-d", "--name", "peer-c1", "--network", "none", "-l", "a=b", "-l", "x.y-z=1"),
        *("busybox", "sh", "-c", script),
    )
    assert made.code == 0, made.err
    ended = knarr_cli(
        *("run", "--name", "peer-c2", "--network", "none", "busybox"),
        *("sh", "-c", "echo out; echo err >&2; exit 3"),
    )
    assert ended == (3, "out\n", "err\n")
    yield "peer-c1"
    knarr_cli("rm", "-f", "peer-c1", "peer-c2")


@pytest.fixture
def bodies(tmp_path: Path) -> Iterator[Callable[..., tuple[object, object]]]:
    """The bodies with which docker and knarr create a container for the same flags."""
    docker = probes.docker_cli()
    assert docker

    def script(request: Request, _: object) -> bytes:
        if request.path == "/containers/create":
            return answer(201, {"Id": "0123456789ab", "Warnings": []})
        return answer(404, {"message": "no such thing"})

    engine = FakeEngine(tmp_path / "fake.sock", script)

    def pair(*arguments: str) -> tuple[object, object]:
        found = []
        for program in ([docker], KNARR):
            engine.requests.clear()
            done = run(program, engine.host, tmp_path, ("create", *arguments, "image"))
            assert done.code == 0, done.err
            found.append(next(r.json() for r in engine.requests if r.method == "POST"))
        return found[0], found[1]

    yield pair
    engine.close()

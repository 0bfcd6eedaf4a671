"""The Engine API as black boxes see it: the docker command line and docker-py.

The suite runs against a knarr engine. With ``KNARR_CONFORMANCE_HOST=unix:///path`` it runs against
whatever answers there instead: so its expectations are checked against dockerd itself.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from support import images
from support.engine import Engine, Result

PEER = os.environ.get("KNARR_CONFORMANCE_HOST", "")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        item.add_marker(pytest.mark.needs_root)
        item.add_marker(pytest.mark.needs_docker_cli(28))


@pytest.fixture(scope="session")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The engine under test; it has the image ``busybox:latest``."""
    if not PEER:
        yield request.getfixturevalue("engine")
        return
    other = Engine(tmp_path_factory.mktemp("peer"))
    other.host, other.socket = PEER, Path(PEER.removeprefix("unix://"))
    assert other.api("POST", "/images/load", images.busybox_archive())[0] == 200
    yield other


@pytest.fixture
def is_knarr() -> bool:
    """Whether what only knarr (or only a newer Docker than the peer) does can be expected."""
    return not PEER


@pytest.fixture
def answers() -> Callable[[int, int], bool]:
    """Whether a status is the expected one; dockerd 20.10 says 500 for much that is 400 now."""
    return lambda got, expected: got == expected or (bool(PEER) and (got, expected) == (500, 400))


@pytest.fixture
def name(daemon: Engine) -> Iterator[str]:
    """A name for a container, which is removed after the test."""
    made = f"c{secrets.token_hex(4)}"
    yield made
    daemon.api("DELETE", f"/containers/{made}?force=1&v=1")


@pytest.fixture
def run(daemon: Engine) -> Callable[..., Result]:
    """``docker run --rm --network none OPTIONS busybox COMMAND``; options end at the first word."""

    def run(*command: str, options: tuple[str, ...] = (), **kwargs: Any) -> Result:
        line = ["run", "--rm", "--network", "none", *options, "busybox", *command]
        return daemon.docker(*line, **kwargs)

    return run


@pytest.fixture
def background(daemon: Engine, name: str) -> str:
    """The name of a container that runs until it is told to end."""
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    daemon.docker("run", "-d", "--network", "none", "--name", name, "busybox", "sh", "-c", script)
    for _ in range(200):
        if "ready" in daemon.docker("logs", name).out:
            return name
        time.sleep(0.02)
    raise AssertionError("the container does not run")


@pytest.fixture
def start(daemon: Engine) -> Iterator[Callable[..., str]]:
    """Start a container that sleeps, or runs a command, in the background; its name."""
    made: list[str] = []

    def start(*options: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
        name = f"opt{time.monotonic_ns():x}"
        made.append(name)
        network = () if "--network" in options else ("--network", "none")
        daemon.docker("run", "-d", "--name", name, *network, *options, "busybox", *command)
        return name

    yield start
    for name in made:
        daemon.api("DELETE", f"/containers/{name}?force=1&v=1")


@pytest.fixture
def volume(daemon: Engine) -> Iterator[str]:
    """The name of a volume, which is removed after the test."""
    name = f"vol{time.monotonic_ns():x}"
    yield name
    daemon.api("DELETE", f"/volumes/{name}")


@pytest.fixture
def client(daemon: Engine) -> Iterator[docker.DockerClient]:
    """docker-py."""
    made = docker.DockerClient(base_url=daemon.host, timeout=60)
    yield made
    made.close()

"""Committing: what the new image inherits, and that nothing is left of a commit that fails."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from knarr.api.containers import ContainerConfig, Empty, HealthConfig
from knarr.api.images import ImageConfig
from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.images import commits
from knarr.images.commits import Commit
from knarr.oci import reference
from support.image_home import Home, config, docker_archive, layer

BASE = layer({"base": b"base"})
ADDED = layer({"added": b"added"})
EMPTY = bytes(1024)
NOON = 1_700_000_000_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    made.load(docker_archive((config(BASE, author="first"), [BASE], ["base:1"])))
    yield made
    made.close()


def writes(data: bytes, **more: Any) -> Commit:
    def write(out: BinaryIO) -> None:
        stream = io.BytesIO(data)
        while piece := stream.read(700):
            out.write(piece)

    return Commit(write, ImageConfig(cmd=["x"]), created_ns=NOON, **more)


def test_an_image_with_one_layer_more(home: Home) -> None:
    parent = home.images.resolve("base:1")
    wanted = writes(ADDED, command=["sh", "-c", "x"], comment="why", author="me")
    made = home.images.commit(parent.id, wanted, reference.parse_normalized("new:1"))
    image = home.images.resolve("new:1")
    assert image.id == made
    assert image.parent == parent.id
    digest = "sha256:" + hashlib.sha256(ADDED).hexdigest()
    assert image.layers == (*parent.layers, digest)
    view = image.file.view
    assert (view.author, view.comment, view.created) == ("me", "why", "2023-11-14T22:13:20Z")
    assert (view.architecture, view.os) == ("amd64", "linux")
    newest, before = home.images.history("new:1")
    assert (newest.created_by, newest.comment, newest.id) == ("sh -c x", "why", made)
    assert before.id == parent.id
    assert home.images.commit(parent.id, wanted, None) == made, "the same gives the same"


def test_no_change_is_no_layer(home: Home) -> None:
    parent = home.images.resolve("base:1")
    made = home.images.resolve(home.images.commit(parent.id, writes(EMPTY), None))
    assert made.layers == parent.layers
    assert made.file.view.history is not None
    assert made.file.view.history[-1].empty_layer is True
    assert commits.EMPTY_LAYER not in home.layers.all()


def test_a_failure_leaves_nothing(home: Home) -> None:
    parent = home.images.resolve("base:1")
    before = home.layers.all(), home.blobs.all(), home.images.count()

    def write(out: BinaryIO) -> None:
        out.write(ADDED[:600])
        raise InvalidArgumentError("cannot be read")

    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        home.images.commit(parent.id, Commit(write, ImageConfig()), None)
    with pytest.raises(InvalidArgumentError):
        home.images.commit(parent.id, writes(b"no tar" * 1000), None)
    with pytest.raises(NotFoundError):
        home.images.commit("sha256:" + "0" * 64, writes(ADDED), None)
    assert (home.layers.all(), home.blobs.all(), home.images.count()) == before


OWN = ContainerConfig(
    hostname="h",
    user="u",
    env=["PATH=/bin", "A=1"],
    cmd=["c"],
    entrypoint=["e"],
    labels={"l": "1"},
    working_dir="/w",
    exposed_ports={"80/tcp": Empty()},
    volumes={"/v": Empty()},
    stop_signal="SIGINT",
    healthcheck=HealthConfig(test=["CMD", "x"], interval=5),
)


@pytest.mark.parametrize(
    ("given", "changes", "expected"),
    [
        (None, [], {"user": "u", "cmd": ["c"], "entrypoint": ["e"], "env": ["PATH=/bin", "A=1"]}),
        (None, ["ENV A=2 B=3"], {"env": ["PATH=/bin", "A=2", "B=3"]}),
        (None, ['CMD ["n"]'], {"cmd": ["n"], "entrypoint": ["e"]}),
        (None, ['ENTRYPOINT ["n"]'], {"cmd": None, "entrypoint": ["n"]}),
        (None, ['CMD ["n"]', 'ENTRYPOINT ["m"]'], {"cmd": ["n"], "entrypoint": ["m"]}),
        (None, ['ENTRYPOINT ["m"]', 'CMD ["n"]'], {"cmd": ["n"], "entrypoint": ["m"]}),
        (None, ["ENTRYPOINT []"], {"cmd": ["c"], "entrypoint": None}),
        (None, ["LABEL l=2 m=3"], {"labels": {"l": "2", "m": "3"}}),
        (None, ["WORKDIR x"], {"working_dir": "/w/x"}),
        (None, ["EXPOSE 81"], {"exposed_ports": {"80/tcp": Empty(), "81/tcp": Empty()}}),
        (
            None,
            ["HEALTHCHECK CMD y"],
            {"healthcheck": HealthConfig(test=["CMD-SHELL", "y"], interval=5)},
        ),
        (
            ContainerConfig(cmd=["given"], env=["B=1"]),
            ["ENV C=2"],
            {"cmd": ["given"], "env": ["B=1", "C=2", "PATH=/bin", "A=1"], "entrypoint": ["e"]},
        ),
        (ContainerConfig(entrypoint=["g"]), [], {"cmd": None, "entrypoint": ["g"], "user": "u"}),
        (ContainerConfig(), [], {"volumes": {"/v": Empty()}, "stop_signal": "SIGINT"}),
    ],
    ids=range(14),
)
def test_configuration(
    given: ContainerConfig | None, changes: list[str], expected: dict[str, Any]
) -> None:
    made = commits.config(OWN, given, changes)
    assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.parametrize("change", ["FROM x", "RUN x", "CMD", "nonsense", "EXPOSE x"])
def test_bad_instructions(change: str) -> None:
    with pytest.raises(InvalidArgumentError):
        commits.config(OWN, None, [change])

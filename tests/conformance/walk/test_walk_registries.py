"""``docker push``, ``pull``, ``login``, ``search``: against a registry that the test starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support import images, registries
from support.registries import PASSWORD, USER
from support.walk import Walk, ask, docker, fields

pytestmark = pytest.mark.needs_peer("docker-registry")

LOWER = images.layer({"bin": ("dir", 0o755), "bin/x": ("exe", b"#!/bin/sh\n")})
UPPER = images.layer({"etc": ("dir", 0o755), "etc/f": ("file", b"content")})
LIST = docker("image ls --format '{{.Repository}}:{{.Tag}}'", out="lines")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A registry for everybody, and one that wants a password."""
    base = tmp_path_factory.mktemp("registries")
    with (
        registries.running("docker-registry", base / "open") as free,
        registries.running("docker-registry", base / "guarded", auth=True) as guarded,
    ):
        yield free, guarded


def test_push(walked: Callable[[Walk], None], hosts: tuple[str, str]) -> None:
    free, _ = hosts
    archive = images.docker_archive([f"{free}/a/b:1"], [LOWER, UPPER], {"Cmd": ["/bin/x"]})
    walked(
        Walk(
            "push",
            (
                docker("load -q", archive),
                docker(f"push {free}/a/b:1", out="lines"),
                docker(f"push {free}/a/b:1", out="lines"),
                docker(f"tag {free}/a/b:1 {free}/a/c:2"),
                docker(f"tag {free}/a/b:1 {free}/a/c:3"),
                docker(f"push -a {free}/a/c", out="lines"),
                docker(f"push -q {free}/a/c:2"),
                docker(f"push {free}/a/c"),
                docker(f"push {free}/nosuch"),
                docker(f"push -a {free}/nosuch"),
                docker(f"push {free}/a/c:2@sha256:{'0' * 64}"),
                docker(f"push -a {free}/a/c:2"),
                docker("push BAD"),
                docker("push nosuch"),
                docker("push"),
                ask(f"/distribution/{free}/a/b:1/json"),
                ask(f"/distribution/{free}/a/b:nosuch/json"),
                ask(f"/distribution/{free}/nosuch/json"),
                docker(f"search {free}/x"),
                docker("search --limit 101 x"),
                docker("search --filter nosuch=1 x"),
                docker("search --filter stars=x x"),
                docker("search --filter is-official=x x"),
                LIST,
                fields("image", f"{free}/a/b:1"),
            ),
            ("storage-driver", "no-search"),
        )
    )


def test_login(walked: Callable[[Walk], None], hosts: tuple[str, str]) -> None:
    free, guarded = hosts
    archive = images.docker_archive([f"{guarded}/a/b:1"], [UPPER], {"Cmd": ["/bin/x"]})
    folder = "--config {tmp}/of-this-walk"
    login = f"{folder} login -u {USER} --password-stdin"
    walked(
        Walk(
            "login",
            (
                docker("load -q", archive),
                docker(f"{folder} push {guarded}/a/b:1"),
                docker(f"{login} {guarded}", "wrong"),
                docker(f"{login} {guarded}", PASSWORD),
                docker(f"{login} {free}", PASSWORD),
                docker(f"{folder} push {guarded}/a/b:1", out="lines"),
                ask(f"/distribution/{guarded}/a/b:1/json"),
                docker(f"{folder} logout {guarded}"),
                docker(f"{folder} push {guarded}/a/b:1"),
                ask("/auth", "POST", {"serveraddress": guarded}),
                ask("/auth", "POST", {"username": "x", "serveraddress": guarded}),
                LIST,
            ),
            ("auth-401",),
        )
    )

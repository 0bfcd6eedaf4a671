"""Pushing from the library, to a registry that wants to know who asks."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import knarr
from support import registries
from support.registries import PASSWORD, USER

pytestmark = pytest.mark.needs_peer("docker-registry")
Go = Callable[[Callable[[knarr.AsyncEngine], Coroutine[Any, Any, Any]]], Any]
LOGIN = knarr.Login(USER, PASSWORD)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = tmp_path_factory.mktemp("guarded")
    with registries.running("docker-registry", base, auth=True) as running:
        yield running


@pytest.fixture
def name(box: knarr.Engine, host: str) -> Iterator[str]:
    repository = f"{host}/sdk{secrets.token_hex(4)}"
    box.images.get("busybox").tag(repository, "1")
    yield f"{repository}:1"
    for each in box.images.summaries():
        for found in [*each.repo_tags, *each.repo_digests]:
            if found.startswith(repository):
                with contextlib.suppress(knarr.errors.NotFoundError):  # gone with the last tag
                    box.images.remove(found, force=True)


def test_push(box: knarr.Engine, name: str) -> None:
    digest = box.images.push(name, login=LOGIN)
    assert f"{name.removesuffix(':1')}@{digest}" in box.images.get(name).inspect().repo_digests
    with box.images.push_stream(name, login=LOGIN) as lines:
        statuses = [line.status for line in lines]
    assert "Layer already exists" in statuses
    assert box.images.push(name.removesuffix(":1"), every=True, login=LOGIN) == digest


def test_push_in_a_loop(box: knarr.Engine, name: str, go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> tuple[str, list[str]]:
        digest = await engine.images.push(name, platform="linux/amd64", login=LOGIN)
        async with await engine.images.push_stream(name, login=LOGIN) as lines:
            return digest, [line.aux.digest async for line in lines if line.aux]

    digest, told = go(use)
    assert told == [digest]
    assert box.images.push(name, login=LOGIN) == digest


def test_who_asks_is_looked_up(
    box: knarr.Engine, name: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import posix

    monkeypatch.setitem(posix.environ, b"DOCKER_CONFIG", str(tmp_path).encode())
    with pytest.raises(knarr.errors.KnarrError, match="no basic auth credentials"):
        box.images.push(name)
    content = {"auths": {host: {"username": USER, "password": PASSWORD}}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert box.images.push(name).startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "every", "words"),
    [
        ("a@sha256:" + "0" * 64, False, "cannot push a digest reference"),
        ("a:1", True, "all tags were asked for"),
        ("A", False, "must be lowercase"),
    ],
)
def test_names_that_cannot_be_pushed(box: knarr.Engine, name: str, every: bool, words: str) -> None:
    with pytest.raises(knarr.errors.InvalidArgumentError, match=words):
        box.images.push(name, every=every)

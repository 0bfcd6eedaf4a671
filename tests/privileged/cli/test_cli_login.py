"""``login`` on a terminal: it asks, and shows no password."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import registries
from support.engine import Engine
from support.registries import PASSWORD, USER

from .conftest import Terminal

pytestmark = pytest.mark.needs_peer("docker-registry")
Start = Callable[..., Terminal]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.running("docker-registry", tmp_path_factory.mktemp("r"), auth=True) as found:
        yield found


def test_it_asks_and_hides_the_password(terminal: Start, host: str, tmp_path: Path) -> None:
    shown = terminal("--config", str(tmp_path), "login", host)
    shown.wait_for("Username: ")
    shown.type(f"{USER}\n")
    shown.wait_for("Password: ")
    shown.type(f"{PASSWORD}\n")
    shown.wait_for("Login Succeeded")
    assert shown.end() == 0
    assert PASSWORD.encode() not in shown.shown
    assert list(json.loads((tmp_path / "config.json").read_text())["auths"]) == [host]
    again = terminal("--config", str(tmp_path), "login", host)
    again.wait_for("Authenticating with existing credentials")
    again.wait_for("Login Succeeded")
    assert again.end() == 0


def test_what_is_known_but_wrong_is_asked_for_again(
    terminal: Start, host: str, tmp_path: Path
) -> None:
    wrong = {"auths": {host: {"username": USER, "password": "old"}}}
    (tmp_path / "config.json").write_text(json.dumps(wrong))
    shown = terminal("--config", str(tmp_path), "login", host)
    shown.wait_for("Login did not succeed")
    shown.wait_for(f"Username ({USER}): ")
    shown.type("\n")
    shown.wait_for("Password: ")
    shown.type("\n")
    shown.wait_for("Error: Password Required")
    assert shown.end() == 1


def test_the_bars_of_a_push(terminal: Start, engine: Engine, host: str, tmp_path: Path) -> None:
    name = f"{host}/bars/a:1"
    engine.knarr("tag", "busybox", name)
    known = {"auths": {host: {"username": USER, "password": PASSWORD}}}
    (tmp_path / "config.json").write_text(json.dumps(known))
    shown = terminal("--config", str(tmp_path), "push", name)
    shown.wait_for(": Pushed")
    shown.wait_for("1: digest: sha256:")
    assert shown.end() == 0
    engine.knarr("rmi", name)

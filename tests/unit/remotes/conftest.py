from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from knarr.oci import reference
from knarr.remotes import Credentials, Patience, Remotes, Repository, Rules
from support.docker_registry import Certificates
from support.registry_stub import HURRIED, Stub, stub


@pytest.fixture(autouse=True)
def no_rules_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path_factory.getbasetemp() / "no-certificates"
    monkeypatch.setattr("knarr.remotes.tls.FOLDERS", (base / "docker", base / "knarr"))
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that ends in ``.test`` is this machine, but not known to be so."""
    resolve = socket.getaddrinfo

    def here(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, str) and host.endswith(".test"):
            host = "127.0.0.1"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", here)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def registry() -> Iterator[Stub]:
    with stub() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Stub]:
    with stub() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Callable[..., Repository]]:
    """A repository by its name; all connections are closed after the test."""
    made = []

    def connected(
        name: str,
        credentials: Credentials | None = None,
        rules: Rules | None = None,
        patience: Patience = HURRIED,
    ) -> Repository:
        remotes = Remotes(rules, patience)
        made.append(remotes)
        return remotes.repository(reference.parse_normalized(name), credentials)

    yield connected
    for each in made:
        each.close()

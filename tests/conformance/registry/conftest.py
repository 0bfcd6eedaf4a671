"""One registry server for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.registry import RegistryServer


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    server = RegistryServer(tmp_path_factory.mktemp("registry")).start()
    yield server
    assert server.stop() == 0

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knarr.snapshots import open_stores
from support.image_home import Home


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Opens a home on the real layer store; closes all that were opened."""
    opened: list[Home] = []

    def make(name: str = "home", *, backend: str | None = None) -> Home:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        layers, _ = open_stores(root, tmp_path / f"run-{name}", backend=backend)
        opened.append(Home(root, layers))
        return opened[-1]

    yield make
    for each in opened:
        each.layers.close()
        each.close()

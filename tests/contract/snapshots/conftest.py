"""The stores of every back end; a test that uses one runs on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from knarr.snapshots import LayerStore, Snapshotter, open_stores

BACKENDS = [
    pytest.param("erofs-file", marks=[pytest.mark.needs_root, pytest.mark.needs_erofs]),
    pytest.param("erofs-loop", marks=[pytest.mark.needs_root, pytest.mark.needs_loop]),
    pytest.param("directory", marks=pytest.mark.needs_root),
]


class Stores(NamedTuple):
    layers: LayerStore
    snapshots: Snapshotter
    data: Path
    run: Path

    def left(self) -> list[str]:
        """What is staged or waits for deletion, or is a mount point for nothing."""
        places = [self.data / "layers" / "ingest", *(self.data / "layers").glob("implied")]
        return [str(path) for place in places for path in place.iterdir()]


def opened(base: Path, backend: str) -> Iterator[Stores]:
    layers, snapshots = open_stores(base / "data", base / "run", backend=backend)
    try:
        yield Stores(layers, snapshots, base / "data", base / "run")
    finally:
        layers.close()


@pytest.fixture(params=BACKENDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    yield from opened(tmp_path, request.param)


@pytest.fixture
def all_stores(tmp_path: Path) -> Iterator[list[Stores]]:
    """One of each kind, for the same input."""
    opening = [opened(tmp_path / name, name) for name in ("erofs-file", "erofs-loop", "directory")]
    try:
        yield [next(each) for each in opening]
    finally:
        for each in opening:
            next(each, None)

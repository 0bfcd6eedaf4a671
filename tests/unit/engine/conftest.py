from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig
from knarr.containers.record import Record
from knarr.engine.live import ContainerStore, LiveContainer
from knarr.engine.workers import Workers
from knarr.metadata import Database
from knarr.oci.digest import DiffID, Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IMAGE = Digest("sha256:" + "0" * 64)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "knarr.db")
    yield opened
    opened.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


@pytest.fixture
def make_record() -> Callable[..., Record]:
    def make(number: int, name: str, **more: Any) -> Record:
        values: dict[str, Any] = {
            "id": f"{number:x}" * 64,
            "name": name,
            "created_ns": number,
            "image_id": IMAGE,
            "image_name": "img",
            "layers": (DiffID("sha256:" + "1" * 64),),
            "path": "sh",
            "config": ContainerConfig(),
            "host_config": HostConfig(network_mode="none"),
        }
        return Record(**(values | more))

    return make


@pytest.fixture
def store(database: Database, workers: Workers) -> ContainerStore:
    return ContainerStore(database.containers, workers)


@pytest.fixture
def add(store: ContainerStore, make_record: Callable[..., Record]) -> Callable[..., LiveContainer]:
    def make(number: int, name: str, **more: Any) -> LiveContainer:
        live = LiveContainer(make_record(number, name, **more))
        store.add(live)
        return live

    return make

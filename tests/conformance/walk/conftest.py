"""The comparison walk needs both engines and a docker command line that can speak to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import Engine
from support.walk import Side, Walk, check, open_sides

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and "walked" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_root)
            item.add_marker(pytest.mark.needs_overlay)
            item.add_marker(pytest.mark.needs_docker_cli(28))
            item.add_marker(pytest.mark.needs_peer("dockerd"))


@pytest.fixture(scope="session")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """dockerd and a knarr of their own, one each for the whole session."""
    folder = tmp_path_factory.mktemp("walk")
    knarr = Engine(folder / "knarr").start()
    try:
        with open_sides(folder, knarr) as opened:
            yield opened
    finally:
        knarr.stop_all()


@pytest.fixture
def walked(sides: tuple[Side, Side]) -> Callable[[Walk], None]:
    """Take a walk on both sides; fail for differences that are not listed."""
    return lambda walk: check(walk, sides)

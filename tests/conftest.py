"""Fixtures and gates for all tests; see ``support`` for what they use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, leaks, probes
from support.engine import Engine


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers():
        if marker.name not in probes.PROBES:
            continue
        reason = probes.missing(marker.name, *marker.args)
        if reason is None:
            continue
        if probes.required(marker.name, *marker.args):
            pytest.fail(f"{marker.name} is required here, but: {reason}", pytrace=False)
        pytest.skip(f"{marker.name}: {reason}")


@pytest.fixture(scope="session", autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail when the run leaves a mount, a process or a loop device that carries its base folder."""
    yield
    base = tmp_path_factory.getbasetemp()
    left = leaks.mounts(base) + leaks.processes(base) + leaks.loops(base)
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all tests that only use it; it has the image ``busybox:latest``."""
    running = Engine(tmp_path_factory.mktemp("engine")).start()
    try:
        status, body = running.api("POST", "/images/load", images.busybox_archive())
        assert status == 200, body
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def make_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Engine]]:
    """A factory of engines for tests that kill or configure them; all are ended after the test."""
    made: list[Engine] = []

    def make(
        *options: str,
        busybox: bool = True,
        env: dict[str, str] | None = None,
        base: Path | None = None,
    ) -> Engine:
        new = Engine(base or tmp_path_factory.mktemp("engine"), *options, env=env)
        made.append(new)
        new.start()
        if busybox:
            status, body = new.api("POST", "/images/load", images.busybox_archive())
            assert status == 200, body
        return new

    yield make
    for each in made:
        each.env.pop("KNARR_FAULT", None)
        each.stop_all()

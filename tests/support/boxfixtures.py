"""Fixtures that give a container without an engine, and check that nothing is left of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import boxes, leaks


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxes.unpack_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def box(tmp_path: Path, busybox_root: Path) -> Iterator[boxes.Box]:
    """A container to start; afterwards no process, cgroup, mount, record or descriptor is left."""
    descriptors, children = _descriptors(), leaks.children()
    made = boxes.Box(tmp_path, busybox_root)
    yield made
    made.close()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    _settle(descriptors)
    assert leaks.children() == children


def _settle(descriptors: int) -> None:
    """No descriptor is left; a thread that another test left may hold one for a moment."""
    deadline = time.monotonic() + 5
    while _descriptors() > descriptors:
        assert time.monotonic() < deadline, f"{_descriptors()} descriptors, {descriptors} before"
        time.sleep(0.01)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

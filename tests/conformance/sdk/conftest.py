"""The library against a real engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import knarr
from support.engine import Engine

HERE = Path(__file__).parent
#: A program that says it is ready and ends with 7 when it is asked to.
SCRIPT = "trap 'exit 7' TERM; echo ready; echo oops >&2; while :; do sleep 0.1; done"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.needs_root)


@pytest.fixture
def box(engine: Engine) -> Iterator[knarr.Engine]:
    """A connection; what a test leaves running is removed."""
    with knarr.connect(engine.host) as made:
        yield made
        for container in made.containers.list(every=True):
            container.remove(force=True, volumes=True)


@pytest.fixture
def running(box: knarr.Engine) -> Iterator[knarr.MadeContainer]:
    """A container that is ready."""
    with box.containers.run("busybox", ["sh", "-c", SCRIPT], network="none") as container:
        with container.logs(follow=True) as logs:
            assert {next(logs.lines()).text for _ in range(2)} == {"ready", "oops"}
        yield container


@pytest.fixture
def go(engine: Engine) -> Callable[..., Any]:
    """Run a coroutine function with a connection; nothing of it may be left open."""

    def run(use: Callable[[knarr.AsyncEngine], Coroutine[Any, Any, Any]]) -> Any:
        async def main() -> Any:
            async with knarr.connect_async(engine.host) as made:
                return await use(made)

        before = connections(engine)
        try:
            return asyncio.run(main())
        finally:
            wait_for(lambda: connections(engine) <= before)

    return run


def connections(engine: Engine) -> int:
    """How many sockets the engine has open."""
    count = 0
    for entry in Path(f"/proc/{engine.pid}/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it holds; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not become true"
        time.sleep(0.01)

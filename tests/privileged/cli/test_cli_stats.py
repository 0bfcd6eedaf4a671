"""``stats`` on a terminal, against a real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.engine import Engine

from .conftest import Terminal

Start = Callable[..., Terminal]
IDLE = ("--network", "none", "busybox", "sleep", "1000")


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A container that runs; whatever begins with its name is removed afterwards."""
    engine.knarr("run", "-d", "--name", "cli-stats", *IDLE)
    yield "cli-stats"
    engine.knarr("rm", "-f", "cli-stats", "cli-stats-2", check=False)


def test_the_table_is_drawn_over_itself(terminal: Start, engine: Engine, name: str) -> None:
    table = terminal("stats", name)
    for _ in range(3):
        table.wait_for("\x1b[HCONTAINER ID")
        table.wait_for(name)
        table.wait_for("\x1b[K\r\n\x1b[J")
    engine.knarr("rm", "-f", name)
    assert table.end() == 0  # nothing is left to be watched
    assert table.shown.startswith(b"\x1b[2J")


def test_containers_come_and_go(terminal: Start, engine: Engine, name: str) -> None:
    table = terminal("stats", "--format", "{{.Name}} {{.PIDs}}.")
    table.wait_for(f"{name} 1.")
    engine.knarr("run", "-d", "--name", f"{name}-2", *IDLE)
    table.wait_for(f"{name}-2 1.")
    engine.knarr("kill", f"{name}-2")
    table.wait_for("\x1b[J\x1b[H")
    shown = len(table.shown)
    while f"{name}-2".encode() in table.shown[shown:] or len(table.shown) == shown:
        shown = len(table.shown)
        table.wait_for("\x1b[J\x1b[H")
    table.type(b"\x03")
    assert table.end() == 130

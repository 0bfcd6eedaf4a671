from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fake_engine import FakeEngine, Request


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., FakeEngine]]:
    """Start a fake engine with a script; it ends after the test."""
    started: list[FakeEngine] = []

    def start(script: Callable[[Request, socket.socket], bytes | None]) -> FakeEngine:
        engine = FakeEngine(tmp_path / f"{len(started)}.sock", script)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()

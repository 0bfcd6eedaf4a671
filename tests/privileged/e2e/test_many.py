"""Many containers at once leave nothing behind."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import pytest

from support import leaks
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

CONTAINERS = 200
CLIENTS = 16


def cycle(engine: Engine, number: int) -> str:
    """Create, start, wait for and remove one container over the API; returns its output."""
    body = {
        "Image": "busybox:latest",
        "Cmd": ["sh", "-c", f"echo number {number}; exit {number % 5}"],
        "HostConfig": {"NetworkMode": "none"},
    }
    status, answer = engine.api("POST", f"/containers/create?name=many-{number}", body)
    assert status == 201, answer
    for method, action, wanted in (
        ("POST", "start", 204),
        ("POST", "wait", 200),
        ("GET", "logs?stdout=1", 200),
    ):
        status, answer = engine.api(method, f"/containers/many-{number}/{action}")
        assert status == wanted, (action, answer)
        if action == "wait":
            assert f'"StatusCode":{number % 5}'.encode() in answer.replace(b" ", b"")
    status, _ = engine.api("DELETE", f"/containers/many-{number}")
    assert status == 204
    return answer[8:].decode()


def things(engine: Engine) -> dict[str, object]:
    """Everything that could leak, counted."""
    supervisor = engine.supervisor_pid()
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    return {
        "mounts": [p for p in leaks.mounts(engine.base) if "/layers/" not in p],
        "cgroups": leaks.cgroups(engine.exec_root),
        "children": children.read_text(),
        "supervisor descriptors": sum(leaks.descriptors(supervisor).values()),
        "bundles": list((engine.exec_root / "bundles").glob("*")),
        "supervisor states": list((engine.exec_root / "supervisor").glob("*")),
        "runtime states": list((engine.exec_root / "runtime").glob("*")),
        "snapshots": list((engine.data_root / "snapshots").glob("*")),
        "containers": list((engine.data_root / "containers").glob("*")),
    }


def test_two_hundred_by_sixteen_clients(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    assert cycle(engine, 0) == "number 0\n"
    before = things(engine)
    engine_before = sum(leaks.descriptors(engine.pid).values())
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        outputs = list(pool.map(lambda n: cycle(engine, n), range(1, CONTAINERS + 1)))
    assert outputs == [f"number {n}\n" for n in range(1, CONTAINERS + 1)]
    assert things(engine) == before
    # The database opens a connection per worker thread, once: a bound, not a count.
    assert sum(leaks.descriptors(engine.pid).values()) <= engine_before + 40
    assert engine.get("/containers/json?all=1") == []

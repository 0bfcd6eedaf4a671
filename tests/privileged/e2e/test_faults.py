"""``kill -9`` at every stage of load, create, start and rm: the next start recovers."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path

import pytest

from support import images, leaks
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

LOAD = [
    "load.layer-staged",
    "load.layer-renamed",
    "content.staged",
    "load.blobs-done",
    "load.recorded",
]
CREATE = ["snapshot.prepared", "create.snapshot-made", "create.recorded"]
START = ["start.bundle-written", "start.started"]
REMOVE = ["rm.snapshot-gone", "rm.recorded"]
RMI = ["rmi.recorded"]


def die(engine: Engine, method: str, path: str, body: object = None) -> None:
    """Send a request during which the engine kills itself at its fault point."""
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        engine.api(method, path, body)
    assert engine.process
    assert engine.process.wait(10) == -9


def restart_with_fault(engine: Engine, fault: str) -> None:
    engine.terminate()
    engine.start(env={"KNARR_FAULT": fault})


def files(engine: Engine) -> set[str]:
    """The files below the data root that hold images, layers and containers."""
    kept = set()
    for name in ("content", "layers", "snapshots", "containers", "trash"):
        root = engine.data_root / name
        kept |= {str(p.relative_to(engine.data_root)) for p in root.rglob("*") if p.is_file()}
    return kept


def containers(engine: Engine) -> list[str]:
    return [item["Names"][0] for item in engine.get("/containers/json?all=1")]


def empty(engine: Engine) -> None:
    """Remove all containers and images; nothing but the trash may remain, and then not even it."""
    for item in engine.get("/containers/json?all=1"):
        engine.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
    for item in engine.get("/images/json?all=1"):
        engine.api("DELETE", f"/images/{item['Id']}?force=1")
    engine.terminate()
    engine.start()
    wait_trash(engine)


def wait_trash(engine: Engine) -> None:
    import time

    deadline = time.monotonic() + 10
    trash = engine.data_root / "trash"
    while trash.exists() and any(trash.iterdir()):
        assert time.monotonic() < deadline, "the trash is not emptied"
        time.sleep(0.05)


def layers_and_blobs(engine: Engine) -> set[str]:
    return {name for name in files(engine) if name.startswith(("layers/", "content/"))}


@pytest.mark.parametrize("fault", LOAD)
def test_load(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine(busybox=False)
    before = layers_and_blobs(engine)
    restart_with_fault(engine, fault)
    die(engine, "POST", "/images/load", images.busybox_archive())
    engine.start()
    tags = [tag for item in engine.get("/images/json") for tag in item["RepoTags"]]
    if fault == "load.recorded":
        assert "busybox:latest" in tags
    else:
        assert "busybox:latest" not in tags
        assert layers_and_blobs(engine) == before, "a broken load leaves nothing behind"
    assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
    assert engine.knarr("run", "--rm", "--network", "none", "busybox", "echo", "ok").line == "ok"


@pytest.mark.parametrize("fault", CREATE)
def test_create(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine()
    before = files(engine)
    restart_with_fault(engine, fault)
    body = {"Image": "busybox:latest", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    die(engine, "POST", "/containers/create?name=half", body)
    engine.start()
    if containers(engine):
        engine.knarr("start", "-a", "half")
        engine.knarr("rm", "half")
    wait_trash(engine)
    assert files(engine) == before
    assert not list((engine.data_root / "snapshots").glob("*"))
    engine.knarr("run", "--name", "half", "--rm", "--network", "none", "busybox", "true")


@pytest.mark.parametrize("fault", START)
def test_start(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine()
    engine.knarr("create", "--network", "none", "--name", "half", "busybox", "sleep", "200")
    restart_with_fault(engine, fault)
    die(engine, "POST", "/containers/half/start")
    engine.start()
    state = engine.get("/containers/half/json")["State"]
    if state["Running"]:
        assert Path(f"/proc/{state['Pid']}").exists()
        assert engine.knarr("exec", "half", "echo", "ok").line == "ok"
    else:
        assert not leaks.cgroups(engine.exec_root)
        engine.knarr("start", "half")
    engine.knarr("rm", "-f", "half")
    assert not leaks.cgroups(engine.exec_root)


@pytest.mark.parametrize("fault", REMOVE)
def test_remove(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine()
    before = files(engine)
    engine.knarr("run", "--network", "none", "--name", "old", "busybox", "touch", "/made")
    restart_with_fault(engine, fault)
    die(engine, "DELETE", "/containers/old")
    engine.start()
    if containers(engine):
        engine.knarr("rm", "old")
    wait_trash(engine)
    assert files(engine) == before
    assert not list((engine.data_root / "snapshots").glob("*"))


@pytest.mark.parametrize("fault", RMI)
def test_remove_image(make_engine: Callable[..., Engine], fault: str) -> None:
    engine = make_engine(busybox=False)
    before = layers_and_blobs(engine)
    assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
    restart_with_fault(engine, fault)
    die(engine, "DELETE", "/images/busybox:latest")
    engine.start()
    assert layers_and_blobs(engine) == before, "the next start sweeps what the rows no longer name"
    assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
    assert engine.knarr("run", "--rm", "--network", "none", "busybox", "echo", "ok").line == "ok"


def test_prune_gives_the_disk_back(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr(
        "run", "--network", "none", "busybox", "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=20"
    )
    empty(engine)
    assert not layers_and_blobs(engine) - {"content/ingest", "layers/ingest"} or engine.get(
        "/images/json"
    )
    total = sum(p.stat().st_blocks * 512 for p in engine.data_root.rglob("*") if p.is_file())
    assert total < 5 << 20

"""A push that ends early: killed, left by its client, overtaken by a removal."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, registries, waiting
from support.engine import Engine, UnixConnection
from support.registries import Registry
from support.registry import RegistryServer
from support.registry_stub import Reply, Seen, Stub, stub
from support.waiting import SECONDS

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

FAULTS = [
    "content.staged",
    "push.layer-done",
    "push.blobs-done",
    "push.sent",
    "push.before-record",
    "push.recorded",
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.running("knarr", tmp_path_factory.mktemp("registry")) as host:
        yield Registry(host)


def archive(name: str, size: int = 1000) -> bytes:
    layers = [images.layer({f"f{n}": ("file", os.urandom(size))}) for n in range(2)]
    return images.docker_archive([name], layers, {})


def content(engine: Engine) -> set[str]:
    """The files of images and layers."""
    roots = [engine.data_root / name for name in ("content", "layers")]
    return {str(path) for root in roots for path in root.rglob("*") if path.is_file()}


def push(engine: Engine, host: str, path: str, tag: str = "1") -> list[dict[str, object]]:
    status, body = engine.api("POST", f"/images/{host}/{path}/push?tag={tag}")
    assert status == 200, body
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.parametrize("fault", FAULTS)
def test_killed_in_the_middle(
    make_engine: Callable[..., Engine], registry: Registry, fault: str
) -> None:
    engine = make_engine(busybox=False)
    path = f"killed/{fault}"
    name = f"{registry.host}/{path}:1"
    assert engine.api("POST", "/images/load", archive(name))[0] == 200
    before = content(engine)
    engine.terminate()
    engine.start(env={"KNARR_FAULT": fault})
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        push(engine, registry.host, path)
    assert engine.process
    assert engine.process.wait(SECONDS) == -9
    engine.start()
    if fault != "push.recorded":
        assert content(engine) == before, "a broken push leaves nothing behind"
    lines = push(engine, registry.host, path)
    digest = registry.manifest(path, "1")[1]
    assert lines[-1]["aux"]["Digest"] == digest  # type: ignore[index]
    assert len(registry.layers(path, "1")) == 2
    assert engine.get(f"/images/{name}/json")["RepoDigests"] == [f"{registry.host}/{path}@{digest}"]
    after = content(engine)
    assert push(engine, registry.host, path)[-1] == lines[-1], "the same bytes every time"
    assert content(engine) == after
    assert engine.api("DELETE", f"/images/{name}?force=1")[0] == 200
    left = {each for each in content(engine) if each in after - before}
    assert not left, "what was compressed goes with the image"


@pytest.fixture
def stuck() -> Iterator[tuple[Stub, threading.Event, threading.Event]]:
    """A registry that takes everything but answers the end of an upload only when it is let."""
    asked, let = threading.Event(), threading.Event()

    def finish(_seen: Seen) -> Reply:
        asked.set()
        let.wait(SECONDS)
        return Reply(201)

    with stub() as server:
        server.on("GET", "/v2/", Reply(200))
        server.on("POST", "/v2/a/b/blobs/uploads/", Reply(202, {"Location": "/v2/up"}))
        server.on("PUT", "/v2/up", finish)
        server.on("PUT", "/v2/a/b/manifests/1", Reply(201))
        try:
            yield server, asked, let
        finally:
            let.set()


def test_a_client_that_goes_away_ends_the_push(
    engine: Engine, stuck: tuple[Stub, threading.Event, threading.Event]
) -> None:
    server, asked, _ = stuck
    name = f"{server.host}/a/b:1"
    assert engine.api("POST", "/images/load", archive(name))[0] == 200
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(engine.socket))
    client.sendall(
        f"POST /images/{server.host}/a/b/push?tag=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    assert asked.wait(SECONDS)
    assert pushing(engine) == 1
    client.close()
    waiting.until(lambda: not pushing(engine))
    assert not server.seen("PUT", "/v2/a/b/manifests/1")
    assert engine.api("DELETE", f"/images/{name}?force=1")[0] == 200


def pushing(engine: Engine) -> int:
    """How many pushes hold what they send."""
    with contextlib.closing(sqlite3.connect(engine.data_root / "knarr.db")) as database:
        count = database.execute("SELECT count(*) FROM leases WHERE purpose = 'push'").fetchone()
    return int(count[0])


def test_an_image_removed_meanwhile_stays_removed(
    engine: Engine, stuck: tuple[Stub, threading.Event, threading.Event]
) -> None:
    server, asked, let = stuck
    name = f"{server.host}/a/b:1"
    before = content(engine)
    assert engine.api("POST", "/images/load", archive(name))[0] == 200
    connection = UnixConnection(str(engine.socket))
    connection.request("POST", f"/images/{server.host}/a/b/push?tag=1")
    assert asked.wait(SECONDS)
    assert engine.api("DELETE", f"/images/{name}?force=1")[0] == 200
    let.set()
    lines = connection.getresponse().read().splitlines()
    connection.close()
    assert "aux" in json.loads(lines[-1]), lines
    assert engine.api("GET", f"/images/{name}/json")[0] == 404
    assert content(engine) == before


def test_a_registry_that_refuses_a_layer_stops_the_others(engine: Engine) -> None:
    denied = (
        b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
    )
    with stub() as server:
        server.on("GET", "/v2/", Reply(200))
        server.on("POST", "/v2/a/b/blobs/uploads/", Reply(403, {}, denied))
        name = f"{server.host}/a/b:1"
        assert engine.api("POST", "/images/load", archive(name))[0] == 200
        before = content(engine)
        lines = push(engine, server.host, "a/b")
        assert lines[-1]["error"] == "denied: requested access to the resource is denied"
        assert content(engine) == before
        assert engine.api("DELETE", f"/images/{name}?force=1")[0] == 200


def test_an_engine_that_ends_does_not_wait_for_a_registry(
    make_engine: Callable[..., Engine], stuck: tuple[Stub, threading.Event, threading.Event]
) -> None:
    server, asked, _ = stuck
    engine = make_engine(busybox=False)
    assert engine.api("POST", "/images/load", archive(f"{server.host}/a/b:1"))[0] == 200
    connection = UnixConnection(str(engine.socket))
    connection.request("POST", f"/images/{server.host}/a/b/push?tag=1")
    assert asked.wait(SECONDS)
    assert engine.terminate() == 0
    connection.close()
    engine.start()
    assert pushing(engine) == 0


class Between:
    """Carries connections to a registry; after so many bytes towards it something happens once.

    ``at`` maps a number of bytes to what is done then; the connection is cut behind it.
    """

    def __init__(self, target: str, at: dict[int, Callable[[], object]]) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._at = dict(at)
        self._count = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.cuts = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._spawn(self._accept)

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listening.accept()[0]
                far = socket.socket()
                self._sockets += [near, far]
                if far.connect_ex(self._target):
                    near.shutdown(socket.SHUT_RDWR)
                    continue
                self._spawn(self._carry, near, far, True)
                self._spawn(self._carry, far, near, False)

    def _carry(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if outward and self._is_due(len(data)):
                    break
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_due(self, count: int) -> bool:
        with self._lock:
            self._count += count
            due = [limit for limit in self._at if self._count >= limit]
            for limit in due:
                self._at.pop(limit)()
                self.cuts += 1
            return bool(due)

    def close(self) -> None:
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
        for each in (self._listening, *self._sockets):
            each.close()


@pytest.mark.parametrize("what", ["connection", "registry"])
def test_an_upload_goes_on_after_a_cut(engine: Engine, tmp_path: Path, what: str) -> None:
    server = RegistryServer(tmp_path / "root").start()

    def restart() -> None:
        if what == "registry":
            server.kill9()
            server.start()

    between = Between(server.address, {2 << 20: restart, 5 << 20: restart})
    try:
        name = f"{between.host}/a/{what}:1"
        assert engine.api("POST", "/images/load", archive(name, 4 << 20))[0] == 200
        lines = push(engine, between.host, f"a/{what}")
        assert "aux" in lines[-1], lines[-1]
        assert between.cuts == 2
        tars = Registry(server.address).layers(f"a/{what}", "1")
        assert [len(tar) > 4 << 20 for tar in tars] == [True, True]
        assert engine.api("DELETE", f"/images/{name}?force=1")[0] == 200
    finally:
        between.close()
        server.stop()

"""Administration and garbage collection while many clients push, pull and delete."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.registry import RegistryServer

PULLS, PUSHES, KEPT = 200, 50, 5


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry with a grace period as short as a push here may take."""
    base = tmp_path_factory.mktemp("eager")
    (base / "c.toml").write_text("[upkeep]\ninterval = 0\ngrace = 2\n")
    server = RegistryServer(base / "root", "--config", str(base / "c.toml")).start()
    yield server
    assert server.stop() == 0


def ask(server: RegistryServer, verb: str, **wish: str) -> object:
    answer = server.ask("POST", f"/v2/_knarr/{verb}", json.dumps(wish).encode())
    assert answer.status == 200, answer
    return answer.json()


def test_administration(eager: RegistryServer) -> None:
    digest = eager.push_image("admin/a", "1", b"x")
    assert ask(eager, "retag", repository="admin/a", reference="1", tag="2") == {"digest": digest}
    ask(eager, "rename", repository="admin/a", to="admin/b")
    assert eager.ask("HEAD", "/v2/admin/b/manifests/2").status == 200
    assert eager.ask("HEAD", "/v2/admin/a/manifests/2").status == 404
    ask(eager, "remove", repository="admin/b")
    assert eager.ask("GET", "/v2/admin/b/tags/list").status == 404
    assert eager.ask("GET", "/v2/_knarr/collect").status == 405
    assert eager.ask("POST", "/v2/_knarr/nothing", b'{"repository":"a"}').status == 404
    for body in (b"[]", b'{"x":1}', b"{"):
        assert eager.ask("POST", "/v2/_knarr/rename", body).status == 400


def test_nothing_is_lost_while_garbage_is_collected(eager: RegistryServer) -> None:
    """Whatever a manifest that was acknowledged refers to can be read, all the time."""
    shared = [b"shared layer %d" % number * 1000 for number in range(8)]
    over = threading.Event()

    def push(number: int) -> str:
        name, layers = f"busy/r{number % 10}", [shared[number % 8], shared[(number + 1) % 8]]
        digest = eager.push_image(name, f"t{number}", *layers, b"own %d" % number * 100)
        if number % KEPT:
            assert eager.ask("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        return name

    def pull(number: int) -> None:
        name = f"busy/r{number % 10}"
        for tag in eager.ask("GET", f"/v2/{name}/tags/list").json().get("tags", []):
            found = eager.ask("GET", f"/v2/{name}/manifests/{tag}")
            if found.status == 200 and int(tag[1:]) % KEPT == 0:
                check(eager, name, found.body)

    def collect() -> None:
        while not over.is_set():
            ask(eager, "collect")

    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            done = [pool.submit(push, number) for number in range(PUSHES)]
            done += [pool.submit(pull, number) for number in range(PULLS)]
            for each in done:
                each.result()
    finally:
        over.set()
        collecting.join()
    for number in range(0, PUSHES, KEPT):
        name = f"busy/r{number % 10}"
        found = eager.ask("GET", f"/v2/{name}/manifests/t{number}")
        assert found.status == 200
        check(eager, name, found.body)


def check(server: RegistryServer, name: str, raw: bytes) -> None:
    document = json.loads(raw)
    for each in (document["config"], *document["layers"]):
        blob = server.ask("GET", f"/v2/{name}/blobs/{each['digest']}")
        assert (blob.status, len(blob.body)) == (200, each["size"])


def test_the_disk_comes_back(eager: RegistryServer) -> None:
    digest = eager.push_image("gone/a", "1", b"z" * 100_000)
    assert eager.ask("DELETE", f"/v2/gone/a/manifests/{digest}").status == 202
    files = Path(eager.root, "blobs")

    def size() -> int:
        return sum(path.stat().st_size for path in files.rglob("*") if path.is_file())

    before = size()
    for _ in range(100):
        ask(eager, "collect")
        if size() <= before - 100_000:
            break
        threading.Event().wait(0.1)
    assert size() <= before - 100_000

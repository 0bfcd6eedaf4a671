"""Repositories that are a cache of another registry, which is slow, wrong, overloaded or away."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.registry import OCI_MANIFEST, RegistryServer, sha256
from support.waiting import until

CONFIG = """\
[[proxies]]
repositories = ["hub/**"]
prefix = "hub/"
upstream = "http://{source}"
ttl = 0
[[proxies]]
repositories = ["kept/**"]
prefix = "kept/"
upstream = "http://{source}"
ttl = 3600
[[proxies]]
repositories = ["slow/**"]
upstream = "http://{slow}"
"""
CONTENT = b"0123456789abcdef" * 200_000


class Slow(http.server.BaseHTTPRequestHandler):
    """A registry with one blob, of which the second half comes when the test says so."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()
    asked = 0

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if "/blobs/" not in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        type(self).asked += 1
        self._head()
        half = len(CONTENT) // 2
        self.wfile.write(CONTENT[:half])
        self.go_on.wait(60)
        self.wfile.write(CONTENT[half:])

    def _head(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    base = tmp_path_factory.mktemp("source")
    (base / "c.toml").write_text(f'audit = "{base}/audit"\n')
    (base / "poor.toml").write_text("[limits]\nrate = 0.001\nburst = 1\n")
    server = RegistryServer(base / "root", "--config", str(base / "c.toml")).start()
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def cache(
    tmp_path_factory: pytest.TempPathFactory, source: RegistryServer, slow: str
) -> Iterator[RegistryServer]:
    base = tmp_path_factory.mktemp("cache")
    (base / "c.toml").write_text(CONFIG.format(source=source.address, slow=slow))
    server = RegistryServer(base / "root", "--config", str(base / "c.toml")).start()
    yield server
    assert server.stop() == 0


def layers(raw: bytes) -> list[str]:
    return [each["digest"] for each in json.loads(raw)["layers"]]


def test_an_image_comes_once(source: RegistryServer, cache: RegistryServer) -> None:
    digest = source.push_image("once/a", "1", CONTENT)
    manifest = cache.ask("GET", "/v2/hub/once/a/manifests/1")
    assert manifest.headers["docker-content-digest"] == digest == sha256(manifest.body)
    assert manifest.headers["content-type"] == OCI_MANIFEST
    (layer,) = layers(manifest.body)
    path = f"/v2/hub/once/a/blobs/{layer}"
    assert cache.ask("HEAD", path).headers["content-length"] == str(len(CONTENT))
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: cache.ask("GET", path), range(8)):
            assert (answer.status, answer.body) == (200, CONTENT)
    assert cache.ask("GET", path, Range="bytes=5-8").body == CONTENT[5:9]
    assert cache.ask("HEAD", f"/v2/hub/once/a/manifests/{digest}").status == 200
    log = (source.root.parent / "audit").read_text().splitlines()
    seen = [each for each in map(json.loads, log) if each["path"] == f"/v2/once/a/blobs/{layer}"]
    assert sum(each["method"] == "GET" for each in seen) <= 1
    assert cache.ask("GET", "/v2/hub/once/a/tags/list").json()["tags"] == ["1"]


def test_a_part_first(source: RegistryServer, cache: RegistryServer) -> None:
    digest = source.push_blob("part/a", CONTENT[:1000])
    answer = cache.ask("GET", f"/v2/hub/part/a/blobs/{digest}", Range="bytes=990-")
    assert (answer.status, answer.body) == (206, CONTENT[990:1000])


def test_a_tag_that_moves(source: RegistryServer, cache: RegistryServer) -> None:
    old = source.push_image("moves/a", "1", b"old")
    for name in ("hub", "kept"):
        found = cache.ask("HEAD", f"/v2/{name}/moves/a/manifests/1")
        assert found.headers["docker-content-digest"] == old
    new = source.push_image("moves/a", "1", b"new")
    for name, digest in (("hub", new), ("kept", old)):
        found = cache.ask("HEAD", f"/v2/{name}/moves/a/manifests/1")
        assert found.headers["docker-content-digest"] == digest


def test_what_the_upstream_has_not(cache: RegistryServer) -> None:
    absent = sha256(b"never pushed")
    assert cache.ask("GET", "/v2/hub/once/a/manifests/none").code == "MANIFEST_UNKNOWN"
    assert cache.ask("GET", f"/v2/hub/once/a/manifests/{absent}").code == "MANIFEST_UNKNOWN"
    for method in ("GET", "HEAD"):
        assert cache.ask(method, f"/v2/hub/once/a/blobs/{absent}").status == 404
    assert cache.ask("GET", "/v2/hub/no/where/tags/list").code == "NAME_UNKNOWN"


def test_nothing_is_pushed_to_a_cache(cache: RegistryServer) -> None:
    assert cache.ask("POST", "/v2/hub/x/blobs/uploads/").code == "UNSUPPORTED"
    assert cache.ask("PUT", "/v2/hub/x/manifests/1", b"{}").code == "UNSUPPORTED"


def test_referrers_come_too(source: RegistryServer, cache: RegistryServer) -> None:
    digest = source.push_image("refs/a", "1", b"x")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}
    about = source.push_image("refs/a", "about", b"y", subject=subject)
    answer = cache.ask("GET", f"/v2/hub/refs/a/referrers/{digest}")
    assert [each["digest"] for each in answer.json()["manifests"]] == [about]


def test_a_wrong_blob_is_never_whole(source: RegistryServer, cache: RegistryServer) -> None:
    content = CONTENT + b"!"
    digest = source.push_blob("wrong/a", content)
    (stored,) = Path(source.root, "blobs").rglob(digest.partition(":")[2])
    stored.chmod(0o600)
    stored.write_bytes(content[:-1] + b"?")
    path = f"/v2/hub/wrong/a/blobs/{digest}"
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        cache.ask("GET", path)
    assert not list(Path(cache.root, "blobs").rglob(digest.partition(":")[2]))
    stored.write_bytes(content)
    assert cache.ask("GET", path).body == content


def test_a_blob_is_passed_on_while_it_comes(cache: RegistryServer) -> None:
    path = f"/v2/slow/a/blobs/{sha256(CONTENT)}"
    connections = [http.client.HTTPConnection(cache.address, timeout=60) for _ in range(3)]
    for each in connections:
        each.request("GET", path)
    answers = [each.getresponse() for each in connections]
    begun = [each.read(len(CONTENT) // 2 - (1 << 20)) for each in answers]
    connections.pop().close()  # one goes away
    answers.pop().close()
    Slow.go_on.set()
    for each, first in zip(answers, begun, strict=False):
        assert first + each.read() == CONTENT
    for each in connections:
        each.close()
    assert Slow.asked == 1
    until(lambda: list(Path(cache.root, "blobs").rglob(sha256(CONTENT).partition(":")[2])))


def test_stale_is_better_than_nothing(source: RegistryServer, cache: RegistryServer) -> None:
    digest = source.push_image("stale/a", "1", b"stale layer")
    raw = cache.ask("GET", "/v2/hub/stale/a/manifests/1").body
    path = f"/v2/hub/stale/a/blobs/{layers(raw)[0]}"
    assert cache.ask("GET", path).body == b"stale layer"
    assert cache.ask("GET", "/v2/hub/stale/a/tags/list").json()["tags"] == ["1"]

    def still() -> None:
        found = cache.ask("GET", "/v2/hub/stale/a/manifests/1")
        assert (found.status, found.headers["docker-content-digest"]) == (200, digest)
        assert cache.ask("GET", path).body == b"stale layer"
        assert cache.ask("GET", "/v2/hub/stale/a/tags/list").json()["tags"] == ["1"]

    options = source._options
    source.stop()
    source._options = ("--config", str(source.root.parent / "poor.toml"))
    source.start()
    while source.ask("GET", "/v2/").status != 429:
        pass
    still()
    source.stop()
    still()
    assert cache.ask("GET", "/v2/hub/stale/b/manifests/1").status == 503
    cache.kill9()
    cache.start()
    still()
    source._options = options
    source.start()

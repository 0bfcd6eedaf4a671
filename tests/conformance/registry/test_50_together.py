"""Several servers over one bucket and one database: none of them has anything of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import postgres
from support.registry import RegistryServer, sha256
from support.s3 import KEYS, S3Server

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not postgres.programs(), reason="PostgreSQL is not installed"),
]
CONFIG = """\
database = "{url}"
[storage]
driver = "s3"
endpoint = "{place.endpoint}"
bucket = "{place.bucket}"
prefix = "here/"
secure = false
access-key = "{keys[0]}"
secret-key-file = "{base}/secret"
[upkeep]
grace = 0
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RegistryServer]]:
    base = tmp_path_factory.mktemp("together")
    store, database = S3Server(base / "s3.log").start(), postgres.Postgres().start()
    (base / "secret").write_text(f"{KEYS[1]}\n")
    text = CONFIG.format(url=database.url, place=store.bucket(), keys=KEYS, base=base)
    (base / "c.toml").write_text(text)
    servers = [
        RegistryServer(base / name, "--config", str(base / "c.toml")).start()
        for name in ("one", "other")
    ]
    yield servers
    assert [server.stop() for server in servers] == [0, 0]
    database.stop()
    store.stop()


def test_what_one_takes_the_other_gives(two: list[RegistryServer]) -> None:
    one, other = two
    digest = one.push_image("shared/a", "1", b"layer" * 100_000)
    found = other.ask("GET", "/v2/shared/a/manifests/1")
    assert found.headers["docker-content-digest"] == digest
    layer = json.loads(found.body)["layers"][0]["digest"]
    blob = f"/v2/shared/a/blobs/{layer}"
    assert other.ask("GET", blob).body == b"layer" * 100_000
    part = other.ask("GET", blob, Range="bytes=499990-")
    assert (part.status, part.body) == (206, b"layer" * 2)


def test_an_upload_goes_on_at_the_other(two: list[RegistryServer]) -> None:
    one, other = two
    content = bytes(range(256)) * 40_000  # two segments and a rest
    place = one.ask("POST", "/v2/moves/a/blobs/uploads/").headers["location"]
    assert one.ask("PATCH", place, content[:9_000_000]).status == 202
    one.kill9()
    state = other.ask("GET", place)
    assert (state.status, state.headers["range"]) == (204, "0-8999999")
    more = other.ask("PATCH", place, content[9_000_000:9_500_000], Content_Range="9000000-9499999")
    assert more.status == 202
    one.start()
    late = one.ask("PATCH", place, b"x" * 10, Content_Range="9000000-9000009")
    assert (late.status, late.headers["range"]) == (416, "0-9499999")
    done = one.ask("PUT", f"{place}?digest={sha256(content)}", content[9_500_000:])
    assert done.status == 201
    assert other.ask("GET", f"/v2/moves/a/blobs/{sha256(content)}").body == content
    for server in two:
        assert server.ask("GET", place).code == "BLOB_UPLOAD_UNKNOWN"


def test_deletions_and_garbage(two: list[RegistryServer]) -> None:
    one, other = two
    layers = [b"kept", b"dropped"]
    kept, dropped = (one.push_image("garbage/a", each.decode(), each) for each in layers)
    assert other.ask("DELETE", f"/v2/garbage/a/manifests/{dropped}").status == 202
    assert one.ask("GET", "/v2/garbage/a/manifests/dropped").status == 404
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(lambda each: each.ask("POST", "/v2/_knarr/collect", b"{}"), two):
            assert answer.status == 200
    assert other.ask("GET", f"/v2/garbage/a/manifests/{kept}").status == 200
    assert other.ask("GET", f"/v2/garbage/a/blobs/{sha256(b'kept')}").body == b"kept"
    assert other.ask("GET", f"/v2/garbage/a/blobs/{sha256(b'dropped')}").status == 404

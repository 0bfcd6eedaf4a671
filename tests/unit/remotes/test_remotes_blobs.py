"""Blobs: exactly their bytes, whatever happens to the connection."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError, UnavailableError
from knarr.oci.descriptor import Descriptor
from knarr.remotes import RegistryRule, Repository, Rules
from support.registry_content import descriptor, digest, error
from support.registry_stub import HURRIED, Reply, Stub, blob, endless, reset

Connect = Callable[..., Repository]
DATA = random.Random(1).randbytes(300_000)
BLOB = f"/v2/a/b/blobs/{digest(DATA)}"


def fetch(
    repository: Repository, of: Descriptor | None = None, offset: int = 0, step: int = 70_000
) -> bytes:
    with repository.open_blob(of or descriptor(DATA), offset) as stream:
        return b"".join(iter(lambda: stream.read(step), b""))


def test_a_blob_and_its_parts(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, blob(DATA))
    repository = connect(f"{registry.host}/a/b")
    assert fetch(repository) == DATA
    assert fetch(repository, offset=123_456) == DATA[123_456:]
    assert registry.requests[-1].headers["range"] == "bytes=123456-"
    asked = len(registry.requests)
    assert fetch(repository, offset=len(DATA)) == b""
    assert len(registry.requests) == asked
    with repository.open_blob(descriptor(DATA)) as stream:
        buffer = bytearray(10)
        assert (stream.readinto(buffer), stream.read()) == (10, DATA[10:])  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgumentError):
        repository.open_blob(descriptor(DATA), len(DATA) + 1)


def test_an_empty_blob(registry: Stub, connect: Connect) -> None:
    registry.on("GET", f"/v2/a/b/blobs/{digest(b'')}", blob(b""))
    assert fetch(connect(f"{registry.host}/a/b"), descriptor(b"")) == b""


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
@pytest.mark.parametrize("tag", ['"v1"', 'W/"v1"', ""], ids=["strong", "weak", "none"])
def test_a_dropped_connection_is_made_again(
    registry: Stub, connect: Connect, ranges: bool, tag: str
) -> None:
    drops = (100_000, 0, 50_000) if ranges else (100_000, 0, 200_000)
    registry.on("GET", BLOB, blob(DATA, *drops, ranges=ranges, etag=tag))
    assert fetch(connect(f"{registry.host}/a/b")) == DATA
    seen = registry.seen("GET", BLOB)
    assert seen[1].headers["range"].startswith("bytes=")
    assert seen[1].headers.get("if-range") == ('"v1"' if tag == '"v1"' else None)
    assert len(seen) == len(drops) + 1


def test_the_blob_behind_another_tag_is_begun_again(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, blob(DATA, 100_000), blob(DATA, etag='"v2"'))
    assert fetch(connect(f"{registry.host}/a/b")) == DATA


def test_a_redirected_blob_is_resumed_from_the_start_of_the_way(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    ways = iter(range(9))
    registry.on("GET", BLOB, lambda seen: Reply(307, {"Location": f"{other.url}/s?{next(ways)}"}))
    other.on("GET", "/s", blob(DATA, 100_000))
    assert fetch(connect(f"{registry.host}/a/b")) == DATA
    assert [each.target for each in other.requests if each.path == "/s"] == ["/s?0", "/s?1"]


def test_what_breaks_without_end_is_given_up(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, Reply(200, {}, DATA, drop=1))
    with pytest.raises(UnavailableError, match="EOF"):
        fetch(connect(f"{registry.host}/a/b"))
    assert len(registry.seen("GET", BLOB)) == HURRIED.attempts


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, {}, DATA + b"x"), "has 300001 bytes at the registry, expected 300000"),
        (Reply(200, {}, DATA[:-1]), "has 299999 bytes at the registry, expected 300000"),
        (Reply(raw=lambda to: to.sendall(OK + b"\r\n" + DATA + b"x")), "is longer than 300000"),
        (Reply(raw=endless(OK + b"Transfer-Encoding: chunked\r\n\r\n",
                           b"10000\r\n" + b"x" * 65536 + b"\r\n")), "is longer than 300000"),
        (Reply(206, {"Content-Range": "bytes 5-300004/300005"}, DATA), "another part of it"),
        (Reply(206, {"Content-Range": "bytes 0-299999/300005"}, DATA), "has 300005 bytes"),
        (Reply(206, {"Content-Type": "multipart/byteranges; boundary=x"}, DATA), "another part"),
        (Reply(206, {}, DATA), "another part"),
        (Reply(204), "unexpected status 204"),
    ],
    ids=["longer", "shorter", "more", "endless", "part", "total", "multipart", "no-range", "204"],
)  # fmt: skip
def test_wrong_lengths_are_refused(
    registry: Stub, connect: Connect, reply: Reply, words: str
) -> None:
    registry.on("GET", BLOB, reply)
    with pytest.raises(DataLossError, match=words):
        fetch(connect(f"{registry.host}/a/b"))


def test_a_body_that_stops_short_is_asked_for_again(registry: Stub, connect: Connect) -> None:
    short = Reply(raw=lambda to: to.sendall(OK + b"\r\n" + DATA[:1000]))
    cut = Reply(
        raw=lambda to: to.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n100\r\n" + DATA[:9])
    )
    registry.on("GET", BLOB, short, cut, Reply(raw=reset), blob(DATA))
    assert fetch(connect(f"{registry.host}/a/b")) == DATA


def test_content_encoding_changes_nothing(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, Reply(200, {"Content-Encoding": "gzip"}, DATA))
    assert fetch(connect(f"{registry.host}/a/b")) == DATA


def test_a_mirror_that_breaks_is_left_where_it_broke(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    other.on("GET", BLOB, blob(DATA, 100_000, 0))
    other.on("GET", BLOB, blob(DATA, 100_000), Reply(503))
    registry.on("GET", BLOB, blob(DATA))
    rules = Rules({registry.host: RegistryRule(mirrors=(other.url,))})
    assert fetch(connect(f"{registry.host}/a/b", rules=rules)) == DATA
    assert len(other.seen("GET", BLOB)) == 2
    assert registry.seen("GET", BLOB)[0].headers["range"] == "bytes=100000-"


def test_a_mirror_with_another_blob_is_passed_over(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    other.on("GET", BLOB, blob(DATA + b"x"))
    registry.on("GET", BLOB, blob(DATA))
    rules = Rules({registry.host: RegistryRule(mirrors=(other.url,))})
    assert fetch(connect(f"{registry.host}/a/b", rules=rules)) == DATA


def test_a_blob_that_is_not_there(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, error(404, "BLOB_UNKNOWN", "blob unknown to registry"))
    with pytest.raises(NotFoundError, match="blob unknown: blob unknown to registry"):
        fetch(connect(f"{registry.host}/a/b"))


def test_a_cancelled_transfer_ends(registry: Stub, connect: Connect) -> None:
    registry.on("GET", BLOB, Reply(200, {}, DATA[:1000], length=len(DATA)))
    repository = connect(f"{registry.host}/a/b")
    with repository.open_blob(descriptor(DATA)) as stream:
        assert stream.read(1000) == DATA[:1000]
        repository.cancel()
        with pytest.raises(UnavailableError, match="context canceled"):
            stream.read(1)


def test_what_the_registry_has(registry: Stub, connect: Connect) -> None:
    repository = connect(f"{registry.host}/a/b")
    assert repository.has_blob(digest(DATA)) is None
    registry.on("HEAD", BLOB, Reply(200, {}, DATA))
    assert repository.has_blob(digest(DATA)) == len(DATA)

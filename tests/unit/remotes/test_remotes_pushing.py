"""Uploads: resumed where the registry says, and where nothing is known begun again."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import BinaryIO

import pytest

from knarr.errors import (
    DataLossError,
    InvalidArgumentError,
    KnarrError,
    PermissionDeniedError,
    UnavailableError,
)
from knarr.remotes import Credentials, RegistryRule, Repository, Rules, uploads
from support.docker_registry import Certificates
from support.registry_content import DIGEST, descriptor, digest, error
from support.registry_stub import Reply, Seen, Stub, reset, stub

Connect = Callable[..., Repository]
SMALL = b"small"
DATA = random.Random(2).randbytes(3_000_000)
START = "/v2/a/b/blobs/uploads/"


class Uploads:
    """The receiving side of a registry: keeps what comes, fails as it is told."""

    def __init__(self, registry: Stub, *failures: str, most: int = 1 << 30) -> None:
        self.data = b""
        self.failures = list(failures)
        self.most = most
        self.done: list[str] = []
        self.log: list[str] = []
        self.registry = registry
        registry.on("POST", START, self.start)
        registry.on("PATCH", "/up", self.patch)
        registry.on("GET", "/up", self.status)
        registry.on("PUT", "/up", self.put)

    def start(self, request: Seen) -> Reply:
        self.log.append("POST")
        self.data = b""
        return Reply(202, {"Location": "/up?state=1", "Range": "0-0"})

    def patch(self, request: Seen) -> Reply:
        self.log.append(f"PATCH {len(request.body)}")
        failure = self.failures.pop(0) if self.failures else ""
        if len(request.body) > self.most:
            return Reply(413)
        if failure == "half":  # what came before the connection broke was kept
            self.data += request.body[: len(request.body) // 2]
            return Reply(raw=reset)
        if failure == "lost":
            return Reply(raw=reset)
        if failure:
            return Reply(int(failure))
        self.data += request.body
        return self.status(request)

    def status(self, request: Seen) -> Reply:
        if request.method == "GET":
            self.log.append("GET")
        status = 204 if request.method == "GET" else 202
        last = max(0, len(self.data) - 1)
        return Reply(status, {"Location": "/up?state=2", "Range": f"0-{last}"})

    def put(self, request: Seen) -> Reply:
        self.log.append("PUT")
        self.data += request.body
        self.done.append(request.target)
        return Reply(201)


def opener(data: bytes) -> Callable[[int], BinaryIO]:
    def open_at(offset: int) -> BinaryIO:
        stream = io.BytesIO(data)
        stream.seek(offset)
        return stream

    return open_at


def push(repository: Repository, data: bytes) -> list[int]:
    told: list[int] = []
    repository.push_blob(descriptor(data), opener(data), told.append)
    return told


@pytest.mark.parametrize("data", [b"", SMALL], ids=["empty", "small"])
def test_a_small_blob_goes_at_once(registry: Stub, connect: Connect, data: bytes) -> None:
    receiving = Uploads(registry)
    assert push(connect(f"{registry.host}/a/b"), data)[-1] == len(data)
    assert receiving.data == data
    assert receiving.log == ["POST", "PUT"]
    assert receiving.done == [f"/up?state=1&digest={digest(data).replace(':', '%3A')}"]


def test_a_large_blob(registry: Stub, connect: Connect) -> None:
    receiving = Uploads(registry)
    told = push(connect(f"{registry.host}/a/b"), DATA)
    assert receiving.data == DATA
    assert receiving.log == ["POST", "PATCH 3000000", "PUT"]
    assert told == sorted(told)
    assert told[-1] == len(DATA)
    assert receiving.done[0].startswith("/up?state=2&digest=")


@pytest.mark.parametrize(
    ("failures", "log"),
    [
        (["half"], ["POST", "PATCH 3000000", "GET", "PATCH 1500000", "PUT"]),
        (["half", "half"],
         ["POST", "PATCH 3000000", "GET", "PATCH 1500000", "GET", "PATCH 750000", "PUT"]),
        (["lost"], ["POST", "PATCH 3000000", "GET", "PATCH 3000000", "PUT"]),
        (["503"], ["POST", "PATCH 3000000", "GET", "PATCH 3000000", "PUT"]),
        (["416"], ["POST", "PATCH 3000000", "GET", "PATCH 3000000", "PUT"]),
    ],
    ids=["half", "twice", "lost", "503", "416"],
)  # fmt: skip
def test_it_goes_on_where_the_registry_says(
    registry: Stub, connect: Connect, failures: list[str], log: list[str]
) -> None:
    receiving = Uploads(registry, *failures)
    push(connect(f"{registry.host}/a/b"), DATA)
    assert receiving.data == DATA
    assert receiving.log == log
    resumed = registry.seen("PATCH", "/up")[-1]
    start = len(DATA) - len(resumed.body)
    assert resumed.headers.get("content-range", "") == (f"{start}-2999999" if start else "")


def test_an_upload_that_is_forgotten_begins_again(registry: Stub, connect: Connect) -> None:
    receiving = Uploads(registry, "half")
    registry.on("GET", "/up", error(404, "BLOB_UPLOAD_UNKNOWN", "gone"))
    push(connect(f"{registry.host}/a/b"), DATA)
    assert receiving.data == DATA
    assert receiving.log == ["POST", "PATCH 3000000", "POST", "PATCH 3000000", "PUT"]


def test_an_answer_that_was_lost_does_not_push_twice(registry: Stub, connect: Connect) -> None:
    receiving = Uploads(registry)
    registry.on("PUT", "/up", Reply(raw=reset))
    registry.on("GET", "/up", error(404, "BLOB_UPLOAD_UNKNOWN", "gone"))
    registry.on("HEAD", f"/v2/a/b/blobs/{digest(SMALL)}", Reply(200, {}, SMALL))
    push(connect(f"{registry.host}/a/b"), SMALL)
    assert receiving.log == ["POST"]


def test_smaller_requests_where_large_ones_are_refused(
    registry: Stub, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_PIECE", 1_000_000)
    receiving = Uploads(registry, most=1_000_000)
    push(connect(f"{registry.host}/a/b"), DATA)
    assert receiving.data == DATA
    assert receiving.log[-5:] == ["GET", *["PATCH 1000000"] * 3, "PUT"]


@pytest.mark.parametrize(
    ("failures", "kind", "words"),
    [
        (["500"] * 9, UnavailableError, "500 Internal Server Error"),
        (["lost"] * 9, UnavailableError, "Patch"),
        (["403"], PermissionDeniedError, "denied: requested access to the resource is denied"),
        (["400"], InvalidArgumentError, "400 Bad Request"),
        (["416"] * 9, InvalidArgumentError, "416"),
    ],
    ids=["500", "lost", "403", "400", "416"],
)
def test_it_is_not_tried_for_ever(
    registry: Stub, connect: Connect, failures: list[str], kind: type[KnarrError], words: str
) -> None:
    Uploads(registry, *failures)
    with pytest.raises(kind, match=words):
        push(connect(f"{registry.host}/a/b"), DATA)


@pytest.mark.parametrize(
    ("headers", "kind", "words"),
    [
        ({}, DataLossError, "does not say where it goes on"),
        ({"Location": "file:///etc/passwd"}, InvalidArgumentError, "neither http nor https"),
        ({"Location": "http://u:p@127.0.0.1/"}, InvalidArgumentError, "a user is named"),
    ],
    ids=["nowhere", "scheme", "user"],
)
def test_bad_places_to_go_on(
    registry: Stub, connect: Connect, headers: dict[str, str], kind: type[KnarrError], words: str
) -> None:
    registry.on("POST", START, Reply(202, headers))
    with pytest.raises(kind, match=words):
        push(connect(f"{registry.host}/a/b"), SMALL)


def test_the_registry_cannot_have_more_than_there_is(registry: Stub, connect: Connect) -> None:
    Uploads(registry)
    registry.on("PATCH", "/up", Reply(202, {"Location": "/up", "Range": "0-9999999"}))
    with pytest.raises(DataLossError, match="the registry has 10000000 bytes"):
        push(connect(f"{registry.host}/a/b"), DATA)


def test_another_host_gets_the_bytes_but_no_credentials(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    def start(request: Seen) -> Reply:
        if "authorization" not in request.headers:
            return Reply(401, {"WWW-Authenticate": "Basic realm=x"})
        return Reply(202, {"Location": f"{other.url}/signed?s=1"})

    registry.on("POST", START, start)
    other.on("PUT", "/signed", Reply(201))
    push(connect(f"{registry.host}/a/b", Credentials("u", "p")), SMALL)
    [came] = other.seen("PUT", "/signed")
    assert came.body == SMALL
    assert "authorization" not in came.headers


@pytest.mark.usefixtures("names")
def test_nothing_is_sent_from_tls_to_none(
    certificates: Certificates, other: Stub, connect: Connect
) -> None:
    with stub(certificates.context()) as registry:
        host = f"registry.test:{registry.port}"
        registry.on("POST", START, Reply(202, {"Location": f"{other.url}/up"}))
        rules = Rules({host: RegistryRule(ca=str(certificates.ca))})
        with pytest.raises(InvalidArgumentError, match="it has no TLS"):
            push(connect(f"{host}/a/b", rules=rules), SMALL)
    assert not other.requests


def test_a_source_that_fails_or_ends_is_told(registry: Stub, connect: Connect) -> None:
    Uploads(registry)
    repository = connect(f"{registry.host}/a/b")

    def broken(offset: int) -> BinaryIO:
        raise OSError(5, "broken disk")

    with pytest.raises(KnarrError, match=r"read blob .*broken disk"):
        repository.push_blob(descriptor(DATA), broken)
    with pytest.raises(DataLossError, match="is shorter than"):
        repository.push_blob(descriptor(DATA), opener(DATA[:-1]))
    repository.cancel()
    with pytest.raises(UnavailableError, match="context canceled"):
        push(repository, DATA)


def test_a_mount_or_not(registry: Stub, connect: Connect) -> None:
    repository = connect(f"{registry.host}/a/b")
    registry.on("POST", START, Reply(201))
    assert repository.mount_blob(DIGEST, "c/d")
    assert registry.requests[-1].target == f"{START}?mount={DIGEST}&from=c/d"
    registry.on("POST", START, Reply(202, {"Location": "/up?1"}))
    assert not repository.mount_blob(DIGEST, "c/d")
    assert (registry.requests[-1].method, registry.requests[-1].target) == ("DELETE", "/up?1")
    for refused in (Reply(404), Reply(403), Reply(401, {"WWW-Authenticate": "Basic realm=x"})):
        registry.on("POST", START, refused)
        assert not repository.mount_blob(DIGEST, "c/d")

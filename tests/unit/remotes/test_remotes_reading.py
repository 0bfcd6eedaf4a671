"""Manifests, tags, referrers: what a good registry says, and what a bad one may not say."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
from collections.abc import Callable

import pytest

from knarr.errors import (
    DataLossError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from knarr.oci import manifest as documents
from knarr.oci import reference
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor
from knarr.oci.digest import Digest
from knarr.remotes import Patience, RegistryRule, Remotes, Repository, Rules
from support.docker_registry import Certificates
from support.registry_content import DIGEST, MANIFEST, digest, error, manifest_reply
from support.registry_stub import HURRIED, Reply, Stub, endless, reset, stub

Connect = Callable[..., Repository]
DENIED = (
    "pull access denied for {host}/a/b, repository does not exist or may require "
    "'docker login': denied: "
)
TAG, BY_DIGEST = "/v2/a/b/manifests/1", f"/v2/a/b/manifests/{DIGEST}"


def test_a_tag_is_resolved_by_head(registry: Stub, connect: Connect) -> None:
    registry.on("HEAD", TAG, manifest_reply(**{"Docker-Content-Digest": DIGEST}))
    found = connect(f"{registry.host}/a/b").resolve("1")
    assert found == Descriptor(media_type=OCI_MANIFEST, digest=DIGEST, size=len(MANIFEST))
    seen = registry.seen("HEAD", TAG)[0].headers
    assert {OCI_MANIFEST, OCI_INDEX} <= set(seen["accept"].split(", "))
    assert seen["accept-encoding"] == "identity"
    assert "authorization" not in seen


def test_without_a_digest_in_the_head_the_document_is_fetched(
    registry: Stub, connect: Connect
) -> None:
    registry.on("HEAD", TAG, manifest_reply())
    registry.on("GET", TAG, manifest_reply())
    assert connect(f"{registry.host}/a/b").resolve("1").digest == DIGEST


def test_a_document(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, manifest_reply(media_type=f"{OCI_MANIFEST}; charset=utf-8"))
    found = connect(f"{registry.host}/a/b").manifest("1")
    assert (found.raw, found.digest, found.media_type) == (MANIFEST, DIGEST, OCI_MANIFEST)
    assert isinstance(found.view, documents.Manifest)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (manifest_reply(MANIFEST + b" "), DataLossError, "manifest verification failed"),
        (manifest_reply(media_type=DOCKER_MANIFEST), InvalidArgumentError, "was named as"),
        (manifest_reply(media_type=OCI_INDEX), InvalidArgumentError, "was named as"),
        (manifest_reply(**{"Docker-Content-Digest": digest(b"x")}), None, ""),
        (manifest_reply(gzip.compress(MANIFEST), **{"Content-Encoding": "gzip"}),
         DataLossError, "manifest verification failed"),
        (Reply(200, {}, b"", length=5 << 20), InvalidArgumentError, "more than the 4194304 bytes"),
        (Reply(raw=endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                           b"10000\r\n" + b" " * 65536 + b"\r\n")),
         InvalidArgumentError, "more than the 4194304 bytes"),
        (Reply(raw=endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536)),
         InvalidArgumentError, "more than the 4194304 bytes"),
        (Reply(raw=endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 60000 + b"\r\n")),
         UnavailableError, "headers"),
        (Reply(raw=endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 60000)), UnavailableError, "line"),
        (Reply(raw=endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")), UnavailableError, "headers"),
        (Reply(raw=lambda to: to.sendall(b"SSH-2.0-x\r\n")), UnavailableError, "malformed HTTP"),
        (Reply(raw=reset), UnavailableError, "Get \"http"),
        (Reply(raw=lambda to: None), UnavailableError, "EOF"),
        (Reply(200, {}, MANIFEST, length=len(MANIFEST) + 5), UnavailableError, "EOF"),
    ],
    ids=["digest", "type", "index", "header", "gzip", "large", "endless-chunks", "endless",
         "headers", "header-line", "continue", "no-http", "reset", "closed", "short"],
)  # fmt: skip
def test_bad_answers_to_a_digest(
    registry: Stub, connect: Connect, reply: Reply, kind: type[KnarrError] | None, words: str
) -> None:
    registry.on("GET", BY_DIGEST, reply)
    repository = connect(f"{registry.host}/a/b")
    if kind is None:  # the bytes count, not what is said about them
        assert repository.manifest(DIGEST).digest == DIGEST
        return
    with pytest.raises(kind) as caught:
        repository.manifest(DIGEST)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (manifest_reply(**{"Docker-Content-Digest": digest(b"x")}), DataLossError, "verification"),
        (manifest_reply(**{"Docker-Content-Digest": "nonsense"}), DataLossError, "no valid digest"),
        (manifest_reply(b"{}"), InvalidArgumentError, "invalid manifest"),
        (manifest_reply(b"<html>", "text/html"), InvalidArgumentError, "invalid manifest"),
        (manifest_reply(gzip.compress(b" " * (64 << 20)), **{"Content-Encoding": "gzip"}),
         InvalidArgumentError, 'content encoding "gzip"'),
        (manifest_reply(b'{"schemaVersion":1,"fsLayers":[]}', "application/json"),
         UnimplementedError, "schema version 1"),
        (manifest_reply(b'{"schemaVersion":2,"manifests":[],"layers":[]}'),
         InvalidArgumentError, "both"),
    ],
    ids=["digest", "no-digest", "empty", "html", "bomb", "schema1", "both"],
)  # fmt: skip
def test_bad_answers_to_a_tag(
    registry: Stub, connect: Connect, reply: Reply, kind: type[KnarrError], words: str
) -> None:
    registry.on("GET", TAG, reply)
    with pytest.raises(kind) as caught:
        connect(f"{registry.host}/a/b").manifest("1")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind", "status", "words"),
    [
        (error(404, "MANIFEST_UNKNOWN", "manifest unknown"), NotFoundError, 404,
         "manifest for {host}/a/b:1 not found: manifest unknown: manifest unknown"),
        (error(404, "NAME_UNKNOWN", "who?"), NotFoundError, 404,
         "repository {host}/a/b not found: name unknown: who?"),
        (error(403, "DENIED", "no"), NotFoundError, 404,
         DENIED + "no"),
        (Reply(403), NotFoundError, 404,
         DENIED + "requested access to the resource is denied"),
        (error(401, "UNAUTHORIZED", "authentication required"), UnauthenticatedError, 500,
         "unauthorized: authentication required"),
        (Reply(401, {"WWW-Authenticate": "Basic realm=x"}), UnauthenticatedError, 500,
         'Get "http://{host}/v2/a/b/manifests/1": no basic auth credentials'),
        (error(429, "TOOMANYREQUESTS", "later", **{"Retry-After": "3600"}),
         ResourceExhaustedError, 500,
         "toomanyrequests: later (the registry says to try again in 3600 seconds)"),
        (Reply(503), UnavailableError, 500,
         "received unexpected HTTP status: 503 Service Unavailable"),
        (Reply(418), InvalidArgumentError, 400,
         "received unexpected HTTP status: 418 I'm a Teapot"),
        (Reply(404, {}, b"x" * 100_000), NotFoundError, 404,
         "received unexpected HTTP status: 404 Not Found"),
    ],
    ids=["manifest", "name", "denied", "403", "401", "basic", "429", "503", "418", "404"],
)  # fmt: skip
def test_refusals_in_dockers_words(
    registry: Stub, connect: Connect, reply: Reply, kind: type[KnarrError], status: int, words: str
) -> None:
    registry.on("GET", TAG, reply)
    with pytest.raises(kind) as caught:
        connect(f"{registry.host}/a/b").manifest("1")
    assert str(caught.value) == words.format(host=registry.host)
    assert caught.value.http_status == status


def test_what_may_pass_is_asked_again(registry: Stub, connect: Connect) -> None:
    busy = error(429, "TOOMANYREQUESTS", "later", **{"Retry-After": "0"})
    registry.on("GET", TAG, Reply(raw=reset), Reply(502), busy, manifest_reply())
    assert connect(f"{registry.host}/a/b").manifest("1").digest == DIGEST
    assert len(registry.seen("GET", TAG)) == 4


def test_it_is_not_asked_for_ever(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, Reply(500))
    with pytest.raises(UnavailableError):
        connect(f"{registry.host}/a/b").manifest("1")
    assert len(registry.seen("GET", TAG)) == HURRIED.attempts


def test_a_silent_or_slow_registry_is_left(registry: Stub, connect: Connect) -> None:
    impatient = Patience(attempts=1, silence=0.2, crawl=0.2)

    def drip(to: object) -> None:
        while True:
            to.sendall(b"H")  # type: ignore[attr-defined]
            time.sleep(0.02)

    for script in (lambda to: time.sleep(0.6), drip):
        registry.on("GET", "/v2/", Reply(200))
        registry.on("GET", TAG, Reply(raw=script))
        with pytest.raises(UnavailableError):
            connect(f"{registry.host}/a/b", patience=impatient).manifest("1")


def test_nobody_there(connect: Connect) -> None:
    with stub() as gone:
        host = gone.host
    with pytest.raises(UnavailableError) as caught:
        connect(f"{host}/a", patience=Patience(attempts=1)).manifest("1")
    words = f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused'
    assert str(caught.value) == words


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_cancelled_wait_ends(connect: Connect, certificates: Certificates, secure: bool) -> None:
    arrived, let_go = threading.Event(), threading.Event()

    def hold(to: object) -> None:
        arrived.set()
        let_go.wait(30)

    with stub(certificates.context() if secure else None) as registry:
        repository = connect(f"{registry.host}/a/b", patience=Patience(silence=30))
        registry.on("GET", TAG, Reply(raw=hold))
        helper = threading.Thread(target=lambda: (arrived.wait(30), repository.cancel()))
        helper.start()
        with pytest.raises(UnavailableError, match="context canceled"):
            repository.manifest("1")
        assert not let_go.is_set()
        let_go.set()
        helper.join()
        with pytest.raises(UnavailableError, match="context canceled"):
            repository.manifest("1")


def test_closing_ends_what_is_under_way(registry: Stub) -> None:
    remotes = Remotes(None, HURRIED)
    name = reference.parse_normalized(f"{registry.host}/a/b")
    let_go = threading.Event()

    def hold(to: object) -> None:
        remotes.close()
        let_go.wait(30)

    registry.on("GET", TAG, Reply(raw=hold))
    with pytest.raises(UnavailableError, match="context canceled"):
        remotes.repository(name).manifest("1")
    let_go.set()
    with pytest.raises(UnavailableError, match="context canceled"):
        remotes.repository(name).manifest("1")


@pytest.mark.parametrize(
    "bad", ["../x", "a/b", "", "1?x=y", "1#x", "a b", "sha256:xyz", "md5:" + "0" * 32, "é", "-x"]
)
def test_no_other_path_can_be_asked_for(registry: Stub, connect: Connect, bad: str) -> None:
    repository = connect(f"{registry.host}/a/b")
    for ask in (repository.manifest, repository.resolve, repository.has_blob):
        with pytest.raises(InvalidArgumentError):
            ask(Digest(bad))
    with pytest.raises(InvalidArgumentError):
        repository.push_manifest(bad, MANIFEST, OCI_MANIFEST)
    with pytest.raises(InvalidArgumentError):
        repository.mount_blob(DIGEST, "../" + bad)
    assert not registry.requests


@pytest.mark.parametrize("path", ["../a", "a/../b", "a?b", "a//b", "A", "a b", ""])
def test_no_other_path_by_a_made_up_name(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Remotes().repository(reference.Reference("127.0.0.1:1", path))


def test_mirrors_are_read_first_and_passed_over(
    registry: Stub, other: Stub, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "knarr.remotes")
    with stub() as away, stub() as busy, stub() as lacking, stub() as wrong:
        busy.on("GET", BY_DIGEST, Reply(429))
        wrong.on("GET", BY_DIGEST, manifest_reply(b"{}"))
        other.on("GET", f"/prefix{BY_DIGEST}", manifest_reply())
        mirrors = [each.url for each in (away, busy, lacking, wrong)] + [f"{other.url}/prefix/"]
        away.close()
        rules = Rules({registry.host: RegistryRule(mirrors=tuple(mirrors))})
        repository = connect(f"{registry.host}/a/b", rules=rules)
        assert repository.manifest(DIGEST).digest == DIGEST
        assert [len(each.requests) for each in (busy, lacking, wrong)] == [1, 1, 1]
        assert repository.manifest(DIGEST).digest == DIGEST
        # only the one that merely lacks it is asked again so soon
        assert [len(each.requests) for each in (busy, lacking, wrong)] == [1, 2, 1]
    assert not registry.requests
    assert "is passed over" in caplog.text


def test_docker_io_is_read_from_its_mirror(other: Stub, connect: Connect) -> None:
    other.on("GET", "/v2/library/debian/manifests/12", manifest_reply())
    rules = Rules({"docker.io": RegistryRule(mirrors=(other.url,))})
    assert connect("debian", rules=rules).manifest("12").digest == DIGEST


def test_when_no_mirror_serves_the_registry_has_the_word(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    registry.on("GET", TAG, error(404, "MANIFEST_UNKNOWN", "manifest unknown"))
    rules = Rules({registry.host: RegistryRule(mirrors=(other.url,))})
    with pytest.raises(NotFoundError, match=r"manifest for .*/a/b:1 not found"):
        connect(f"{registry.host}/a/b", rules=rules).manifest("1")


TAGS = "/v2/a/b/tags/list"


def tag_page(*tags: str, link: str = "") -> Reply:
    body = json.dumps({"name": "a/b", "tags": list(tags)}).encode()
    return Reply(200, {"Link": link} if link else {}, body)


def test_tags_come_page_by_page(registry: Stub, connect: Connect) -> None:
    registry.on(
        "GET",
        TAGS,
        tag_page("a", "b", link='<other>; rel="prev", </v2/a/b/tags/list?last=b&n=2>; rel="next"'),
        tag_page("c", link=f"<{registry.url}{TAGS}?last=c>; title=x; rel=next"),
        tag_page(),
    )
    assert list(connect(f"{registry.host}/a/b").tags()) == ["a", "b", "c"]
    targets = [each.target for each in registry.requests if each.path == TAGS]
    assert targets == [TAGS, f"{TAGS}?last=b&n=2", f"{TAGS}?last=c"]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("<http://127.0.0.1:1/v2/a/b/tags/list?x>; rel=next", "is elsewhere"),
        ("</v2/c/d/tags/list?x>; rel=next", "is elsewhere"),
        ("</v2/a/b/tags/list>; rel=next", "in a circle"),
        ("<file:///etc/passwd>; rel=next", "the next page"),
    ],
    ids=["host", "path", "circle", "scheme"],
)
def test_pages_lead_nowhere_else(registry: Stub, connect: Connect, link: str, words: str) -> None:
    registry.on("GET", TAGS, tag_page("a", link=link))
    with pytest.raises(DataLossError, match=words):
        list(connect(f"{registry.host}/a/b").tags())


def test_pages_end(registry: Stub, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knarr.remotes.pages.MOST_PAGES", 5)
    count = iter(range(1000))
    registry.on("GET", TAGS, lambda seen: tag_page(link=f"<{TAGS}?{next(count)}>; rel=next"))
    with pytest.raises(DataLossError, match="more than 5 pages"):
        list(connect(f"{registry.host}/a/b").tags())


@pytest.mark.parametrize("tag", ["a/b", "../x", "", "sha256:" + "0" * 64, "\x1b[31m"], ids=range(5))
def test_tags_are_tags(registry: Stub, connect: Connect, tag: str) -> None:
    registry.on("GET", TAGS, tag_page(tag))
    with pytest.raises(KnarrError):
        list(connect(f"{registry.host}/a/b").tags())


REFERRERS = f"/v2/a/b/referrers/{DIGEST}"


def index(*types: str) -> bytes:
    entries = tuple(
        Descriptor(media_type=OCI_MANIFEST, digest=digest(t.encode()), size=1, artifact_type=t)
        for t in types
    )
    return documents.encode_index(entries)


def test_referrers_by_the_api(registry: Stub, connect: Connect) -> None:
    first = Reply(
        200, {"Content-Type": OCI_INDEX, "Link": f"<{REFERRERS}?2>; rel=next"}, index("x")
    )
    registry.on("GET", REFERRERS, first, manifest_reply(index("y", "z"), OCI_INDEX))
    found = connect(f"{registry.host}/a/b").referrers(DIGEST)
    assert [each.artifact_type for each in found.manifests] == ["x", "y", "z"]
    registry.on("GET", REFERRERS, manifest_reply(index("y", "z"), OCI_INDEX))
    found = connect(f"{registry.host}/a/b").referrers(DIGEST, "z")
    assert [each.artifact_type for each in found.manifests] == ["z"]
    assert registry.requests[-1].target == f"{REFERRERS}?artifactType=z"


def test_referrers_by_the_tag(registry: Stub, connect: Connect) -> None:
    repository = connect(f"{registry.host}/a/b")
    assert not repository.referrers(DIGEST).manifests
    tag = f"/v2/a/b/manifests/{DIGEST.replace(':', '-')}"
    registry.on("GET", tag, manifest_reply(index("x", "y"), OCI_INDEX))
    found = repository.referrers(DIGEST, "y")
    assert [each.artifact_type for each in found.manifests] == ["y"]


def test_search(registry: Stub) -> None:
    result = {"name": "a/b", "description": "of\nit", "star_count": 3, "is_official": True}
    body = json.dumps({"num_results": 2, "results": [result, {"name": "c"}, {"name": "d"}]})
    registry.on("GET", "/v1/search", Reply(200, {}, body.encode()))
    remotes = Remotes(None, HURRIED)
    found = remotes.search(f"{registry.host}/some thing&n=9", 2)
    assert [each.name for each in found] == ["a/b", "c"]
    assert found[0][1:4] == ("of it", 3, True)
    assert registry.requests[-1].target == "/v1/search?q=some%20thing%26n%3D9&n=2"
    registry.on("GET", "/v1/search", Reply(404))
    with pytest.raises(UnavailableError, match="Unexpected status code 404"):
        remotes.search(f"{registry.host}/x", 25)
    for limit in (0, 101):
        with pytest.raises(InvalidArgumentError, match=r"outside the range of \[1, 100\]"):
            remotes.search("x", limit)
    remotes.close()


def test_push_refusals(registry: Stub, connect: Connect) -> None:
    repository = connect(f"{registry.host}/a/b")
    registry.on("PUT", TAG, error(403, "DENIED", "requested access to the resource is denied"))
    with pytest.raises(PermissionDeniedError) as caught:
        repository.push_manifest("1", MANIFEST, OCI_MANIFEST)
    assert str(caught.value) == "denied: requested access to the resource is denied"
    registry.on("PUT", TAG, Reply(201, {"Docker-Content-Digest": digest(b"x")}))
    with pytest.raises(DataLossError, match="verification failed"):
        repository.push_manifest("1", MANIFEST, OCI_MANIFEST)

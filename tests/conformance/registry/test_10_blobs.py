"""Blobs as the distribution specification wants them: pushed in every way, read, deleted."""

from __future__ import annotations

import hashlib
import socket
import struct
from pathlib import Path

import pytest

from support.registry import RegistryServer, sha256

NAME = "blobs/of.a-test"
CONTENT = b"0123456789" * 1000
ABSENT = sha256(b"never pushed")


def begin(registry: RegistryServer, name: str = NAME) -> str:
    answer = registry.ask("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status == 202
    assert answer.headers["docker-upload-uuid"] in answer.headers["location"]
    return answer.headers["location"]


def read(registry: RegistryServer, digest: str, name: str = NAME) -> bytes:
    answer = registry.ask("GET", f"/v2/{name}/blobs/{digest}")
    assert answer.status == 200
    assert answer.headers["docker-content-digest"] == digest
    return answer.body


def test_the_version_of_the_api(registry: RegistryServer) -> None:
    for path in ("/v2/", "/v2"):
        answer = registry.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_post_then_put(registry: RegistryServer, algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    done = registry.ask("PUT", f"{begin(registry)}?digest={digest}", CONTENT)
    assert done.status == 201
    assert done.headers["docker-content-digest"] == digest
    assert registry.ask("GET", done.headers["location"]).body == CONTENT


def test_a_single_post(registry: RegistryServer) -> None:
    content = b"all at once"
    digest = sha256(content)
    done = registry.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", content)
    assert done.status == 201
    assert read(registry, digest) == content


def test_chunks(registry: RegistryServer) -> None:
    place, digest = begin(registry), sha256(CONTENT)
    for start, end in ((0, 3999), (4000, 8999)):
        answer = registry.ask(
            "PATCH",
            place,
            CONTENT[start : end + 1],
            Content_Range=f"{start}-{end}",
            Content_Type="application/octet-stream",
        )
        assert (answer.status, answer.headers["range"]) == (202, f"0-{end}")
        place = answer.headers["location"]
    state = registry.ask("GET", place)
    assert (state.status, state.headers["range"]) == (204, "0-8999")
    done = registry.ask(
        "PUT", f"{place}?digest={digest}", CONTENT[9000:], Content_Range="9000-9999"
    )
    assert done.status == 201
    assert read(registry, digest) == CONTENT


@pytest.mark.parametrize("wrong", ["10-19", "1000-1009"], ids=["again", "ahead"])
def test_a_chunk_out_of_order(registry: RegistryServer, wrong: str) -> None:
    place = begin(registry)
    first = registry.ask("PATCH", place, b"x" * 100, Content_Range="0-99")
    assert first.status == 202
    answer = registry.ask("PATCH", place, b"y" * 10, Content_Range=wrong)
    assert (answer.status, answer.headers["range"]) == (416, "0-99")
    assert registry.ask("GET", place).headers["range"] == "0-99"


def test_a_chunk_of_another_length_than_it_says(registry: RegistryServer) -> None:
    answer = registry.ask("PATCH", begin(registry), b"x" * 10, Content_Range="0-99")
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    answer = registry.ask("PATCH", begin(registry), b"x", Content_Range="first")
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")


def test_a_stream_without_lengths(registry: RegistryServer) -> None:
    place, content = begin(registry), b"streamed" * 10_000
    answer = registry.ask("PATCH", place, content)
    assert answer.status == 202
    done = registry.ask("PUT", f"{place}?digest={sha256(content)}", b"")
    assert done.status == 201
    assert read(registry, sha256(content)) == content


def test_a_wrong_digest_is_refused_and_leaves_nothing(registry: RegistryServer) -> None:
    place = begin(registry)
    answer = registry.ask("PUT", f"{place}?digest={ABSENT}", b"something else")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert registry.ask("GET", place).status == 404
    assert registry.ask("HEAD", f"/v2/{NAME}/blobs/{ABSENT}").status == 404
    answer = registry.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={ABSENT}", b"other")
    assert answer.code == "DIGEST_INVALID"
    assert not list((registry.root / "uploads").glob(place.rpartition("/")[2]))


@pytest.mark.parametrize(
    "digest", ["sha256:0", "md5:" + "0" * 32, "sha256:" + "G" * 64, "../../etc/passwd", ""]
)
def test_what_is_no_digest(registry: RegistryServer, digest: str) -> None:
    answer = registry.ask("PUT", f"{begin(registry)}?digest={digest}", b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_an_upload_given_up(registry: RegistryServer) -> None:
    place = begin(registry)
    assert registry.ask("DELETE", place).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = registry.ask(method, place)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(registry: RegistryServer) -> None:
    place = begin(registry).replace(NAME, "another/place")
    assert registry.ask("PATCH", place, b"x").code == "BLOB_UPLOAD_UNKNOWN"


def test_mounting(registry: RegistryServer) -> None:
    digest = registry.push_blob("mount/source", b"to be shared")
    path = "/v2/mount/target/blobs/uploads/?mount="
    answer = registry.ask("POST", f"{path}{digest}&from=mount/source")
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/mount/target/blobs/{digest}"
    assert read(registry, digest, "mount/target") == b"to be shared"
    without_source = registry.ask("POST", f"/v2/mount/third/blobs/uploads/?mount={digest}")
    assert without_source.status == 201
    for query in (f"{ABSENT}&from=mount/source", f"{digest}&from=mount/elsewhere", ABSENT):
        assert registry.ask("POST", path + query).status == 202


def test_ranges(registry: RegistryServer) -> None:
    path = f"/v2/{NAME}/blobs/{registry.push_blob(NAME, CONTENT)}"
    for header, part, span in (
        ("bytes=0-9", CONTENT[:10], "0-9"),
        ("bytes=9990-", CONTENT[9990:], "9990-9999"),
        ("bytes=-5", CONTENT[-5:], "9995-9999"),
        ("bytes=9990-99999", CONTENT[9990:], "9990-9999"),
    ):
        answer = registry.ask("GET", path, Range=header)
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["content-range"] == f"bytes {span}/10000"
    for header in ("bytes=5-1", "lines=1-2", "bytes=0-1,4-5", "bytes=x-y", "bytes=-"):
        answer = registry.ask("GET", path, Range=header)
        assert (answer.status, answer.body) == (200, CONTENT)
    behind = registry.ask("GET", path, Range="bytes=10000-")
    assert (behind.status, behind.headers["content-range"]) == (416, "bytes */10000")


def test_conditions(registry: RegistryServer) -> None:
    path = f"/v2/{NAME}/blobs/{registry.push_blob(NAME, CONTENT)}"
    tag = registry.ask("HEAD", path).headers["etag"]
    assert registry.ask("GET", path, If_None_Match=tag).status == 304
    assert registry.ask("GET", path, If_None_Match='"other"').status == 200
    assert registry.ask("GET", path, Range="bytes=0-1", If_Range='"other"').status == 200
    assert registry.ask("GET", path, Range="bytes=0-1", If_Range=tag).status == 206


def test_head_tells_the_length(registry: RegistryServer) -> None:
    answer = registry.ask("HEAD", f"/v2/{NAME}/blobs/{registry.push_blob(NAME, CONTENT)}")
    assert (answer.status, answer.headers["content-length"]) == (200, "10000")
    assert answer.body == b""


def test_deleting(registry: RegistryServer) -> None:
    digest = registry.push_blob("delete/here", b"short-lived")
    registry.push_blob("delete/there", b"short-lived")
    assert registry.ask("DELETE", f"/v2/delete/here/blobs/{digest}").status == 202
    for method in ("GET", "DELETE"):
        answer = registry.ask(method, f"/v2/delete/here/blobs/{digest}")
        assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    assert read(registry, digest, "delete/there") == b"short-lived"


def test_an_empty_blob(registry: RegistryServer) -> None:
    digest = registry.push_blob(NAME, b"")
    answer = registry.ask("GET", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.body) == (200, b"")


def test_uploads_go_on_after_a_kill(registry: RegistryServer) -> None:
    place, digest = begin(registry), sha256(CONTENT)
    assert registry.ask("PATCH", place, CONTENT[:6000]).status == 202
    registry.kill9()
    registry.start()
    state = registry.ask("GET", place)
    assert (state.status, state.headers["range"]) == (204, "0-5999")
    done = registry.ask("PUT", f"{place}?digest={digest}", CONTENT[6000:])
    assert done.status == 201
    assert read(registry, digest) == CONTENT


@pytest.mark.parametrize(
    "name",
    ["UPPER", "a//b", "-a", "a/../b", "a/%2e%2e/b", "a_", "x" * 256, "a/b/", "a:b"],
)
def test_bad_names(registry: RegistryServer, name: str) -> None:
    answer = registry.ask("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status in {400, 404}
    assert answer.code in {"NAME_INVALID", "UNSUPPORTED"}


def test_methods_and_pages_that_are_not_there(registry: RegistryServer) -> None:
    digest = registry.push_blob(NAME, b"x")
    answer = registry.ask("POST", f"/v2/{NAME}/blobs/{digest}")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["allow"] == "DELETE, GET, HEAD"
    for path in ("/", "/v1/", "/v2/a/nothing/b", "/v2/a"):
        assert registry.ask("GET", path).status == 404


def test_a_client_that_leaves_in_the_middle_is_no_error(tmp_path: Path) -> None:
    server = RegistryServer(tmp_path / "registry").start()
    digest = server.push_blob("left/alone", b"x" * (16 << 20))
    for _ in range(3):
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                f"GET /v2/left/alone/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert read(server, digest, "left/alone") == b"x" * (16 << 20)
    assert server.stop() == 0
    assert not [line for line in server.said if "Traceback" in line or "ERROR" in line]

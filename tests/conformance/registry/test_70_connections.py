"""Connections: encrypted, kept, pipelined, silent, with heads that are too large."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images
from support.docker_registry import Certificates
from support.registry import RegistryServer, sha256

CONTENT = b"encrypted" * 300_000


@pytest.fixture(scope="module")
def encrypted(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RegistryServer, Certificates]]:
    base = tmp_path_factory.mktemp("encrypted")
    made = Certificates(base / "ca")
    text = f'[tls]\ncertificate = "{made.cert}"\nkey = "{made.key}"\n'
    (base / "c.toml").write_text(text)
    server = RegistryServer(base / "root", "--config", str(base / "c.toml")).start()
    yield server, made
    assert server.stop() == 0


def test_a_blob_over_tls(encrypted: tuple[RegistryServer, Certificates]) -> None:
    server, made = encrypted
    context = ssl.create_default_context(cafile=made.ca)
    connection = http.client.HTTPSConnection(server.address, context=context, timeout=60)
    digest = sha256(CONTENT)
    connection.request("POST", f"/v2/tls/a/blobs/uploads/?digest={digest}", CONTENT)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (201, b"")
    connection.request("GET", f"/v2/tls/a/blobs/{digest}")
    assert connection.getresponse().read() == CONTENT
    connection.close()
    strange = ssl.create_default_context()
    connection = http.client.HTTPSConnection(server.address, context=strange)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/v2/")
    connection.close()


@pytest.mark.needs_peer("skopeo")
def test_skopeo_over_tls(encrypted: tuple[RegistryServer, Certificates], tmp_path: Path) -> None:
    server, made = encrypted
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(made.ca.read_bytes())
    archive = tmp_path / "busybox.tar"
    archive.write_bytes(images.busybox_archive())
    to = f"docker://{server.address}/tls/busybox:1"
    copy = ["skopeo", "--insecure-policy", "copy"]
    refused = subprocess.run([*copy, f"docker-archive:{archive}", to], capture_output=True)
    assert refused.returncode != 0
    subprocess.run(
        [*copy, f"--dest-cert-dir={folder}", f"docker-archive:{archive}", to], check=True
    )


def exchange(registry: RegistryServer, sent: bytes, answers: int) -> list[tuple[int, bytes]]:
    """What the server answers to these bytes, in one connection."""
    host, port = registry.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as file:
            return [read(file) for _ in range(answers)]


def read(file) -> tuple[int, bytes]:  # type: ignore[no-untyped-def]
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, file.read(length)


def test_many_requests_at_once(registry: RegistryServer) -> None:
    digest = registry.push_image("pipe/a", "1", b"x")
    raw = registry.ask("GET", "/v2/pipe/a/manifests/1").body
    one = b"GET /v2/pipe/a/manifests/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = b"".join(one % each for each in (b"1", digest.encode(), b"none", b"1"))
    found = exchange(registry, sent, 4)
    assert [status for status, _ in found] == [200, 200, 404, 200]
    assert [body for status, body in found if status == 200] == [raw] * 3


def test_a_manifest_asked_again_is_as_at_first(registry: RegistryServer) -> None:
    """What is answered from memory is the same, and ends with the manifest."""
    digest = registry.push_image("again/a", "1", b"x")
    usual = registry.ask("GET", "/v2/again/a/manifests/1", If_None_Match='"other"')
    connection = http.client.HTTPConnection(registry.address, timeout=30)

    def ask(path: str, **headers: str) -> http.client.HTTPResponse:
        connection.request("GET", path, headers=headers)
        return connection.getresponse()

    for reference in ("1", digest, "1", digest):
        answer = ask(f"/v2/again/a/manifests/{reference}")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        assert answer.read() == usual.body
        assert headers.pop("date")
        assert headers.items() <= usual.headers.items()
        assert usual.headers.keys() - headers.keys() <= {"date", "server"}
    first = ask("/v2/again/a/manifests/1", **{"If-None-Match": f'"{digest}"'})
    assert (first.status, first.read()) == (304, b"")
    new = registry.push_image("again/a", "1", b"y")
    moved = ask("/v2/again/a/manifests/1")
    assert (moved.headers["docker-content-digest"], sha256(moved.read())) == (new, new)
    assert registry.ask("DELETE", f"/v2/again/a/manifests/{digest}").status == 202
    for reference, code in ((digest, "MANIFEST_UNKNOWN"), ("..", "TAG_INVALID")):
        gone = ask(f"/v2/again/a/manifests/{reference}")
        assert json.loads(gone.read())["errors"][0]["code"] == code
    elsewhere = ask(f"/v2/again/b/manifests/{new}")
    assert (elsewhere.status, bool(elsewhere.read())) == (404, True)
    connection.close()


def test_a_head_in_pieces(registry: RegistryServer) -> None:
    registry.push_image("pieces/a", "1", b"x")
    host, port = registry.address.split(":")
    whole = b"GET /v2/pieces/a/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as file:
            for cut in (1, 10, len(whole) - 1):
                connection.sendall(whole[:cut])
                time.sleep(0.02)  # so that they come in two
                connection.sendall(whole[cut:])
                assert read(file)[0] == 200


@pytest.mark.parametrize("size", [17_000, 200_000])
def test_heads_that_are_too_large(registry: RegistryServer, size: int) -> None:
    sent = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n" % (b"x" * size)
    assert exchange(registry, sent, 1)[0][0] == 431


def test_many_silent_connections(registry: RegistryServer) -> None:
    host, port = registry.address.split(":")
    silent = [socket.create_connection((host, int(port)), timeout=30) for _ in range(500)]
    assert registry.ask("GET", "/v2/").status == 200
    for each in silent:
        each.close()

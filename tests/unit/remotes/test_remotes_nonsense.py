"""Whatever a registry answers, it is an error of knarr's own kind or a good answer.

Answers are put together at random from parts that are each wrong in some way; the seed is fixed.
"""

from __future__ import annotations

import io
import random
import socket
from collections.abc import Callable
from typing import BinaryIO

import pytest

from knarr.errors import KnarrError
from knarr.oci import reference
from knarr.remotes import Credentials, Patience, RegistryRule, Remotes, Repository, Rules
from knarr.remotes.failure import RefusedError
from support.registry_content import DIGEST, MANIFEST, descriptor, digest
from support.registry_stub import Reply, Seen, Stub

STATUSES = (
    "200 200 200 202 201 206 204 301 307 400 401 401 403 404 413 416 429 500 503 304 100 999 0 x"
)
HEADERS = [
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 6",
    b"Content-Length: x",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Type: application/vnd.oci.image.manifest.v1+json",
    b"Content-Type: \xff\xfe",
    b"Docker-Content-Digest: sha256:",
    b"Docker-Content-Digest: \xe9",
    b'WWW-Authenticate: Bearer realm="/v2/tok",scope="\xff"',
    b"WWW-Authenticate: Basic",
    b"Location: /v2/x",
    b"Location: //",
    b"Location: http://[::1",
    b"Location: \xe9",
    b"Retry-After: 0",
    b"Retry-After: Tue",
    b"Link: <?x>; rel=next",
    b"Link: <\xff>;rel=next",
    b"Content-Range: bytes 0-4/5",
    b'ETag: "\xff"',
    b"Content-Encoding: gzip",
    b"Content-Encoding: br, zstd, \xff",
    b": ",
    b"\x00: a",
    b" folded",
    b"Range: 0-5",
    b"Range: 0-x",
    b"Connection: close",
    b"Connection: upgrade",
]
BODIES = [
    b"",
    b"hello",
    b"{}",
    b'{"errors":[{"code":5,"message":null}]}',
    b'{"errors":[{"code":"DENIED","message":"\\u001b[31m\\n"}]}',
    b'{"errors":"x"}',
    b'{"token":"a"}',
    b'{"token":{}}',
    b'{"token":"t","expires_in":1e400}',
    b"\xff\xfe",
    b"[" * 5000,
    b"5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\n",
    b"zz\r\n",
    b"5;ext=\xff\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b'{"tags":[1]}',
    b'{"tags":["a"]}',
    MANIFEST,
    b'{"schemaVersion":2,"manifests":[{"digest":"x","size":-1}]}',
]
HURRIED = Patience(attempts=2, first=0.0001, most=0.001, obeyed=0.01, connect=5, silence=1)
BLOB = descriptor(b"hello")
LARGE = b"x" * 1_100_000


def opener(data: bytes) -> Callable[[int], BinaryIO]:
    def open_at(offset: int) -> BinaryIO:
        stream = io.BytesIO(data)
        stream.seek(offset)
        return stream

    return open_at


class Nonsense(Stub):
    """Answers everything at random, and closes."""

    chance = random.Random()

    def _reply(self, request: Seen) -> Reply:
        return Reply(raw=self._write)

    def _write(self, connection: socket.socket) -> None:
        chance = self.chance
        lines = [b"HTTP/1.1 %s x" % chance.choice(STATUSES.split()).encode()]
        lines += chance.sample(HEADERS, chance.randint(0, 5))
        answer = b"\r\n".join([*lines, b"", chance.choice(BODIES)])
        if chance.random() < 0.1:
            answer = chance.randbytes(chance.randint(0, 300))
        if chance.random() < 0.1:
            answer = answer[: chance.randint(0, len(answer))]
        connection.sendall(answer)


def fetch(repository: Repository) -> None:
    with repository.open_blob(BLOB) as stream:
        assert len(stream.read()) == 5


def failure(attempt: Callable[[Repository], object], repository: Repository) -> KnarrError | None:
    try:
        attempt(repository)
    except KnarrError as error:
        return error
    return None


ATTEMPTS: dict[str, Callable[[Repository], object]] = {
    "resolve": lambda to: to.resolve("1"),
    "tag": lambda to: to.manifest("1"),
    "digest": lambda to: to.manifest(DIGEST),
    "blob": fetch,
    "has": lambda to: to.has_blob(digest(b"hello")),
    "mount": lambda to: to.mount_blob(digest(b"hello"), "c"),
    "push": lambda to: to.push_blob(BLOB, opener(b"hello")),
    "upload": lambda to: to.push_blob(descriptor(LARGE), opener(LARGE)),
    "put": lambda to: to.push_manifest("1", MANIFEST, "a/b"),
    "tags": lambda to: list(to.tags()),
    "referrers": lambda to: to.referrers(DIGEST),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nonsense_is_an_error(attempt: str) -> None:
    registry = Nonsense()
    registry.chance = random.Random(attempt)
    logins = [None, Credentials("u", "hidden"), Credentials("u", "", "hidden")]
    remotes = Remotes(Rules({registry.host: RegistryRule()}), HURRIED)
    name = reference.parse_normalized(f"{registry.host}/a/b")
    try:
        for number in range(30):
            repository = remotes.repository(name, logins[number % 3])
            endpoint = repository._registry.endpoint
            endpoint.settle(endpoint.root_by("http"))
            error = failure(ATTEMPTS[attempt], repository)
            assert not isinstance(error, RefusedError)
            assert error is None or error.message.isprintable()
            assert "hidden" not in str(error)
    finally:
        remotes.close()
        registry.close()

"""Requests to registries: who asks is understood, and never shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from knarr.remotes import Credentials

ALICE = {"username": "alice", "password": "se?cret>"}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (encoded(ALICE), Credentials("alice", "se?cret>")),
        (base64.b64encode(json.dumps(ALICE).encode()).decode(), Credentials("alice", "se?cret>")),
        (encoded(ALICE).rstrip("="), Credentials("alice", "se?cret>")),
        (encoded({"auth": "YTpi"}), Credentials("a", "b")),
        (encoded({"identitytoken": "t"}), Credentials(identity_token="t")),
        (encoded({"registrytoken": "t"}), Credentials(registry_token="t")),
        (encoded({**ALICE, "email": None, "auth": None}), Credentials("alice", "se?cret>")),
        (encoded({}), None),
        (encoded([]), None),
        ("%%%", None),
        ("e", None),
        (encoded({"username": 3}), None),
        (encoded({"auth": "%"}), None),
        ("", None),
        ("A" * 100_000, None),
    ],
    ids=[
        "url-alphabet",
        "plain-alphabet",
        "no-padding",
        "auth",
        "identity-token",
        "registry-token",
        "nulls",
        "empty",
        "a-list",
        "no-base64",
        "one-letter",
        "wrong-type",
        "bad-auth",
        "none",
        "too-long",
    ],
)
def test_the_header_says_who_asks(serving: Any, header: str, expected: Credentials | None) -> None:
    headers = {"X-Registry-Auth": header} if header else {}
    status, _, body = serving.request("GET", "/distribution/h/a/b:1/json", headers=headers)
    assert status == 200, body
    if len(header) > 60_000:
        return  # the server may refuse such a head altogether
    assert serving.registries.calls == [("h/a/b:1", expected)]


def test_a_document_is_given_to_the_byte(serving: Any) -> None:
    status, headers, body = serving.request("GET", "/distribution/a/b/document")
    assert (status, headers["Content-Type"], body) == (200, "application/x", b"{ }")
    assert headers["Docker-Content-Digest"] == "sha256:0"


def test_distribution_has_dockers_fields(serving: Any) -> None:
    assert serving.json("GET", "/distribution/a/json")[1] == {
        "Descriptor": {"mediaType": "m", "digest": "sha256:0", "size": 3},
        "Platforms": [{"architecture": "amd64", "os": "linux"}],
    }


def test_login(serving: Any) -> None:
    body = {**ALICE, "password": "secret", "serveraddress": "h:5000"}
    assert serving.json("POST", "/auth", body) == (
        200,
        {"IdentityToken": "tok", "Status": "Login Succeeded"},
    )
    config = serving.registries.calls[0][1]
    assert (config.username, config.server_address) == ("alice", "h:5000")
    assert "secret" not in f"{config!r} {config}"


def test_a_refused_login_tells_no_secret(serving: Any) -> None:
    status, body = serving.json("POST", "/auth", ALICE)
    assert (status, body) == (401, {"message": "login attempt failed"})


def test_search(serving: Any) -> None:
    assert serving.json("GET", "/images/search?term=x&limit=7") == (
        200,
        [
            {
                "star_count": 4,
                "is_official": False,
                "name": "a/b",
                "is_automated": False,
                "description": "",
            }
        ],
    )
    assert serving.registries.calls == [("x", (7, {}, None))]


def test_push_says_late_errors_in_the_stream(serving: Any) -> None:
    headers = {"X-Registry-Auth": encoded(ALICE)}
    path = '/images/h:5000/a/b/push?tag=1&platform={"os":"linux","architecture":"arm64"}'
    status, _, body = serving.request("POST", path.replace('"', "%22"), headers=headers)
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert lines[1]["error"] == "denied: requested access to the resource is denied"
    assert serving.images.calls == [
        (
            "h:5000/a/b",
            {
                "tag": "1",
                "platform": "linux/arm64",
                "credentials": Credentials("alice", "se?cret>"),
            },
        )
    ]

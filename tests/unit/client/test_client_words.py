"""The functions over bytes: addresses, heads, frames, detach keys, JSON."""

from __future__ import annotations

import json

import pytest

from knarr.client import address, detach, http, jsontext, paths
from knarr.client.stdcopy import Demultiplexer
from knarr.errors import InvalidArgumentError, UnavailableError


@pytest.mark.parametrize(
    ("text", "path", "host", "port"),
    [
        ("unix:///run/x.sock", "/run/x.sock", "", 0),
        ("unix://", address.DEFAULT_SOCKET, "", 0),
        ("tcp://1.2.3.4", "", "1.2.3.4", 2375),
        ("tcp://[::1]:99", "", "::1", 99),
        ("tcp://name:2376/prefix", "", "name", 2376),
        ("http://:80", "", "localhost", 80),
    ],
)
def test_address(text: str, path: str, host: str, port: int) -> None:
    found = address.parse(text)
    assert (found.path, found.host, found.port, found.named) == (path, host, port, True)


@pytest.mark.parametrize("text", ["foo", "ssh://x", "tcp://a:b", "tcp://a:70000", ""])
def test_bad_address(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        address.parse(text)


def test_address_order() -> None:
    both = {"KNARR_HOST": "unix:///k", "DOCKER_HOST": "unix:///d"}
    assert address.find(["unix:///h"], lambda name: both.get(name, "")).path == "/h"
    assert address.find([], lambda name: both.get(name, "")).path == "/k"
    del both["KNARR_HOST"]
    assert address.find([], lambda name: both.get(name, "")).path == "/d"
    default = address.find([], lambda _: "")
    assert (default.path, default.named) == (address.DEFAULT_SOCKET, False)
    with pytest.raises(InvalidArgumentError):
        address.find(["unix:///a", "unix:///b"], lambda _: "")


def test_authority_of_ipv6() -> None:
    assert address.parse("tcp://[::1]:99").authority == "[::1]:99"


def test_query() -> None:
    assert http.query([]) == ""
    assert (
        http.query([("a", True), ("b", 3), ("c", "x y&=/é")]) == "?a=1&b=3&c=x%20y%26%3D%2F%C3%A9"
    )


def test_paths_quote_names() -> None:
    assert paths.container("/c1", "json") == "/containers/c1/json"
    assert paths.container("a?force=1#x y") == "/containers/a%3Fforce%3D1%23x%20y"
    assert paths.image("host:5/a/b:t@sha256:0", "tag") == "/images/host:5/a/b:t@sha256:0/tag"
    with pytest.raises(InvalidArgumentError):
        paths.container(" ")


def test_head() -> None:
    found = http.parse(b"HTTP/1.1 200 All Right\r\nContent-Length: 5\r\nCONNECTION: Close")
    assert (found.status, found.reason, found.length, found.closes) == (200, "All Right", 5, True)
    assert http.parse(b"HTTP/1.1 204 ").length is None


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-x", b"HTTP/1.1 abc x", b"HTTP/1.1 200 OK\r\nnonsense", b""]
)
def test_bad_head(raw: bytes) -> None:
    with pytest.raises(http.MalformedResponseError):
        http.parse(raw)


def test_bad_length() -> None:
    with pytest.raises(http.MalformedResponseError):
        http.parse(b"HTTP/1.1 200 OK\r\nContent-Length: -5").length  # noqa: B018


CHUNKS = b"5;x=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nbeyond"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("head", "raw", "expected"),
    [
        (b"Transfer-Encoding: chunked", CHUNKS, b"hello 0123456789"),
        (b"Content-Length: 5", b"hellobeyond", b"hello"),
        (b"Content-Length: 0", b"beyond", b""),
    ],
    ids=["chunked", "length", "empty"],
)
def test_body_in_any_pieces(head: bytes, raw: bytes, expected: bytes, step: int) -> None:
    body = http.Body(http.parse(b"HTTP/1.1 200 OK\r\n" + head), bodyless=False)
    got = b""
    for start in range(0, len(raw), step):
        got += b"".join(body.feed(raw[start : start + step]))
    assert (got, body.rest, body.done) == (expected, b"beyond", True)
    body.end()


def test_body_that_ends_with_the_connection() -> None:
    body = http.Body(http.parse(b"HTTP/1.1 200 OK"), bodyless=False)
    assert body.feed(b"abc") == [b"abc"]
    assert (body.endless, body.done) == (True, False)
    body.end()


@pytest.mark.parametrize("raw", [b"zz\r\n", b"-1\r\n", b"\r\n", b"5" * 70000])
def test_bad_chunk(raw: bytes) -> None:
    head = http.parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
    with pytest.raises(http.MalformedResponseError):
        http.Body(head, bodyless=False).feed(raw)


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize("step", [1, 2, 3, 7, 8, 9, 1000])
def test_demultiplex_in_any_pieces(step: int) -> None:
    data = frame(1, b"out") + frame(2, b"") + frame(2, b"error") + frame(1, b"x" * 100)
    parser = Demultiplexer()
    got = {1: b"", 2: b""}
    for start in range(0, len(data), step):
        for stream, part in parser.feed(data[start : start + step]):
            got[stream] += part
    assert got == {1: b"out" + b"x" * 100, 2: b"error"}


def test_demultiplex_errors() -> None:
    with pytest.raises(UnavailableError, match="error from daemon in stream: boom"):
        list(Demultiplexer().feed(frame(3, b"boom")))
    with pytest.raises(UnavailableError, match="not multiplexed"):
        list(Demultiplexer().feed(b"plain text"))


def test_detach_keys() -> None:
    assert detach.parse("ctrl-p,ctrl-q") == detach.DEFAULT
    assert detach.parse("a,ctrl-@,ctrl-[") == b"a\0\x1b"
    for text in ("ctrl-P", "ab", "", "ctrl-"):
        with pytest.raises(InvalidArgumentError):
            detach.parse(text)


@pytest.mark.parametrize("step", [1, 2, 100])
def test_detach_detector(step: int) -> None:
    detector = detach.Detector(b"ab")
    typed = b"xaay aab never sent"
    sent = b""
    for start in range(0, len(typed), step):
        sent += detector.feed(typed[start : start + step])
        if detector.found:
            break
    assert (sent, detector.found) == (b"xaay a", True)


def test_detach_holds_back_only_a_begin() -> None:
    detector = detach.Detector(detach.DEFAULT)
    assert detector.feed(b"a\x10") == b"a"
    assert detector.feed(b"b") == b"\x10b"
    assert not detector.found


VALUES = [
    None,
    True,
    [1, -2.5, 1e300, 'é\u2028\n"\\', {}],
    {"a": {"b": []}, "": 0},
    2**70,
]


@pytest.mark.parametrize("value", VALUES)
def test_json_agrees_with_the_library(value: object) -> None:
    assert jsontext.loads(json.dumps(value, indent=1)) == value
    assert jsontext.dumps(value) == json.dumps(value, separators=(",", ":"))
    plain = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    assert jsontext.dumps(value, ascii_only=False, sort_keys=True) == plain


@pytest.mark.parametrize("text", ["", " ", "{", "{}x", "nul", "NaN", "[1,]", b"\xff"])
def test_bad_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|extra|delimiter|value|property"):
        jsontext.loads(text)


def test_json_keeps_bytes_that_are_no_text() -> None:
    value = jsontext.loads(b'{"name": "\xff"}')
    assert value["name"].encode("utf-8", "surrogateescape") == b"\xff"


def test_json_refuses_what_has_no_form() -> None:
    with pytest.raises(TypeError):
        jsontext.dumps({1, 2})
    with pytest.raises(ValueError, match="JSON"):
        jsontext.dumps(float("nan"))


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_documents(step: int) -> None:
    raw = '{"a": "é"}\r\n\n{"b": 2}\n{"c": 3}'.encode()
    pieces = [raw[i : i + step] for i in range(0, len(raw), step)]
    assert list(jsontext.documents(pieces)) == [{"a": "é"}, {"b": 2}, {"c": 3}]

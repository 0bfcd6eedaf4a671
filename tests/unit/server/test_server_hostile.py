"""What a client may send to do harm: the server answers or hangs up, and goes on."""

from __future__ import annotations

import json
import random
import socket
from typing import Any
from urllib.parse import quote

import pytest


def alive(serving: Any) -> bool:
    return bool(serving.request("GET", "/_ping")[2] == b"OK")


def exchange(serving: Any, wire: bytes) -> bytes:
    """Send, end the input, and read to the end."""
    with serving.raw() as sock:
        answer = b""
        try:
            sock.sendall(wire)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65536):
                answer += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
    return answer


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET /version HTTP/1.1\r\n\r\n",
        b"GET /version HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (2 << 20) + b"\r\n\r\n",
        b"GET /" + b"v" * (2 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v" + b"9" * 5000 + b"." + b"9" * 5000 + b"/info HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /containers/%00%ff%2e%2e%2f/json HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /containers/x/json?size=%zz&%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /containers/x/attach HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /containers/x/attach HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /exec/x/start HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT /containers/x/attach HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)  # fmt: skip
def test_broken_requests(serving: Any, wire: bytes) -> None:
    answer = exchange(serving, wire)
    assert b"Traceback" not in answer
    assert b" 500 " not in answer[:20]
    assert alive(serving)
    serving.eventually(lambda: serving.connections() == 0)


def test_an_end_of_input_at_any_moment_ends_the_connection(serving: Any) -> None:
    """The end may come before, while and after the request is answered."""
    wire = b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    wire += b"Content-Length: 2000\r\n\r\n" + b"{" * 2000
    for pause in range(40):
        with serving.raw() as sock:
            sock.sendall(wire)
            for _ in range(pause * 200):
                pass
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 400"), answer
    serving.eventually(lambda: serving.connections() == 0)


def test_header_that_is_no_text(serving: Any) -> None:
    wire = b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: \xe9\x9d\xff/json\r\n"
    answer = exchange(serving, wire + b"Content-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"unsupported Content-Type" in answer


def test_log_of_what_is_no_http_has_no_traceback(
    serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    exchange(serving, b"NO HTTP AT ALL\r\n\r\n")
    exchange(serving, b"GET /version HTTP/1.1\r\nA\xff: b\r\n\r\n")
    told = [one for one in caplog.records if one.levelno > 20 or one.exc_info]
    assert not told, [one.getMessage() for one in told]
    assert "not HTTP" in caplog.text


def test_random_bytes(serving: Any) -> None:
    rng = random.Random(1)
    words = [
        b"POST /containers/x/attach",
        b"GET /events",
        b" HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"\r\n",
    ]
    words += [
        b"Content-Length: 3\r\n",
        b"Upgrade: tcp\r\n",
        b"Connection: Upgrade\r\n",
        b"{}",
        b"\0",
    ]
    words += [b"POST /exec/x/start", b"HEAD /_ping", b"Transfer-Encoding: chunked\r\n", b"0\r\n"]
    for _ in range(150):
        wire = b"".join(rng.choice(words) for _ in range(rng.randint(1, 25)))
        answer = exchange(serving, wire)
        assert b"Traceback" not in answer
    assert alive(serving)
    serving.eventually(lambda: serving.connections() == 0)


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5000, "٣٣"])
def test_giant_numbers(serving: Any, digits: str) -> None:
    key = serving.container("exit", "0")
    number = quote(digits)
    for path in (
        f"/containers/json?limit={number}",
        f"/containers/{key}/logs?stdout=1&since={number}",
        f"/containers/{key}/logs?stdout=1&since={number}s",
        f"/events?until={number}&since={number}",
    ):
        status, _, body = serving.request("GET", path)
        assert status == 400, (path[:60], body[:200])
    assert serving.request("GET", f"/containers/{key}/logs?stdout=1&tail={number}")[0] == 200


def test_deep_and_odd_json(serving: Any) -> None:
    for body in (
        b"[" * 200_000,
        b'{"Labels":' * 50_000,
        b'{"HostConfig":{"Memory":1e400}}',
        b'{"HostConfig":{"Memory":99999999999999999999999}}',
        b'{"Cmd":["\\ud800"]}',
        b'{"Image":"a\\u0000b","Cmd":null}',
    ):
        headers = {"Content-Type": "application/json"}
        status, _, answer = serving.request("POST", "/containers/create", body, headers)
        assert status in (201, 400), (body[:40], answer[:200])
        json.loads(answer)
    assert alive(serving)


def test_clients_that_never_read(serving: Any) -> None:
    stuck = []
    for _ in range(20):
        key = serving.container("flood", "200")
        sock = serving.raw()
        stuck.append(sock)
        sock.sendall(
            f"POST /containers/{key}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        sock.recv(10)
        serving.json("POST", f"/containers/{key}/start")
    assert alive(serving)
    for sock in stuck:
        sock.close()
    serving.eventually(lambda: serving.connections() == 0)

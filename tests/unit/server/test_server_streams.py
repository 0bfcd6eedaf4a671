from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import time
from typing import Any

import aiohttp
import pytest

from knarr.api import streams
from knarr.api.events import Actor, event
from knarr.server import hijack


def head_of(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        assert chunk, data
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def rest_of(sock: socket.socket, data: bytes = b"") -> bytes:
    while chunk := sock.recv(1 << 20):
        data += chunk
    return data


def payload(wire: bytes, stream: int = streams.STDOUT) -> bytes:
    decoder = streams.Decoder()
    found = b"".join(data for which, data in decoder.feed(wire) if which == stream)
    decoder.close()
    return found


def attach(
    key: str, query: str = "stream=1&stdin=1&stdout=1&stderr=1", *, upgrade: bool = True
) -> bytes:
    extra = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
    return (
        f"POST /v1.50/containers/{key}/attach?{query} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode()
    )


def test_attach_upgrades(serving: Any) -> None:
    key = serving.container("cat")
    with serving.raw() as sock:
        sock.sendall(attach(key))
        head, rest = head_of(sock)
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 101 UPGRADED",
            b"Content-Type: application/vnd.docker.multiplexed-stream",
            b"Connection: Upgrade",
            b"Upgrade: tcp",
        ]
        serving.json("POST", f"/containers/{key}/start")
        sock.sendall(b"hello ")
        sock.sendall(b"world")
        sock.shutdown(socket.SHUT_WR)
        assert payload(rest_of(sock, rest)) == b"hello world"
    serving.eventually(lambda: serving.connections() == 0)


def test_attach_of_old_clients_and_terminals(serving: Any) -> None:
    key = serving.container("echo", "hi", Tty=True)
    with serving.raw() as sock:
        sock.sendall(attach(key, upgrade=False))
        head, rest = head_of(sock)
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 200 OK",
            b"Content-Type: application/vnd.docker.raw-stream",
        ]
        serving.json("POST", f"/containers/{key}/start")
        assert rest_of(sock, rest) == b"hi\n"


def test_old_versions_know_only_the_raw_type(serving: Any) -> None:
    key = serving.container("echo", "hi")
    with serving.raw() as sock:
        sock.sendall(attach(key).replace(b"v1.50", b"v1.41"))
        head, _ = head_of(sock)
        assert b"application/vnd.docker.raw-stream" in head


@pytest.mark.parametrize("upgrade", [True, False])
def test_input_in_the_packet_of_the_request(serving: Any, upgrade: bool) -> None:
    key = serving.container("cat")
    with serving.raw() as sock:
        # All at once: the request, what looks like a request but is input, and the end of input.
        text = b"GET /version HTTP/1.1\r\n\r\nearly" * 50
        sock.sendall(attach(key, upgrade=upgrade) + text)
        sock.shutdown(socket.SHUT_WR)
        head, rest = head_of(sock)
        assert head.startswith(b"HTTP/1.1 101" if upgrade else b"HTTP/1.1 200")
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock, rest)) == text


def test_output_goes_on_after_the_end_of_input(serving: Any) -> None:
    key = serving.container("late")
    with serving.raw() as sock:
        sock.sendall(attach(key))
        _, rest = head_of(sock)
        sock.shutdown(socket.SHUT_WR)
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock, rest), streams.STDERR) == b"late\n"


def test_output_waits_until_the_head_was_read(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hijack, "_HEAD_PATIENCE", 60.0)
    key = serving.container("echo", "after")
    with serving.raw() as sock:
        sock.sendall(attach(key, "logs=1&stream=1&stdout=1"))
        time.sleep(0.05)  # there is output now
        assert sock.recv(65536).endswith(b"\r\n\r\n")
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock)) == b"before\nafter\n"


def test_a_client_that_never_reads_does_not_hold_output_back(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hijack, "_HEAD_PATIENCE", 0.01)
    key = serving.container("echo", "after")
    with serving.raw() as sock:
        sock.sendall(attach(key, "logs=1&stream=1&stdout=1"))
        serving.json("POST", f"/containers/{key}/start")
        data = b""
        while b"before\n" not in data:
            time.sleep(0.02)
            data = sock.recv(65536, socket.MSG_PEEK)
        assert payload(rest_of(sock, head_of(sock)[1])) == b"before\nafter\n"


def test_input_that_is_not_attached_is_dropped(serving: Any) -> None:
    key = serving.container("count")
    with serving.raw() as other, serving.raw() as sock:
        other.sendall(attach(key))
        head_of(other)
        sock.sendall(attach(key, "stream=1&stdout=1"))
        head_of(sock)
        sock.sendall(b"not for you")
        sock.shutdown(socket.SHUT_WR)
        serving.json("POST", f"/containers/{key}/start")
        other.sendall(b"12345")
        other.shutdown(socket.SHUT_WR)
        assert payload(rest_of(other)) == b"5\n"


def test_logs_come_before_the_stream(serving: Any) -> None:
    key = serving.container("echo", "after")
    with serving.raw() as sock:
        sock.sendall(attach(key, "logs=1&stream=1&stdout=1"))
        _, rest = head_of(sock)
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock, rest)) == b"before\nafter\n"


def test_input_during_the_logs_is_kept(serving: Any) -> None:
    key = serving.container("cat")
    with serving.raw() as sock:
        sock.sendall(attach(key, "logs=1&stream=1&stdout=1&stdin=1") + b"first ")
        sock.sendall(b"second")
        sock.shutdown(socket.SHUT_WR)
        _, rest = head_of(sock)
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock, rest)) == b"before\nfirst second"


def test_a_slow_reader_slows_the_process(serving: Any) -> None:
    key = serving.container("flood", "400")
    program = serving.containers.program(key)
    with serving.raw() as sock:
        sock.sendall(attach(key))
        _, rest = head_of(sock)
        serving.json("POST", f"/containers/{key}/start")
        previous = -1

        def still() -> bool:
            nonlocal previous
            stuck = program.written == previous and program.written > 0
            previous = program.written
            return stuck

        serving.eventually(still)
        assert program.written < 8 << 20
        assert len(payload(rest_of(sock, rest))) == 400 * 65536


def test_a_slow_process_slows_the_writer(serving: Any) -> None:
    key = serving.container("count")  # not started: it reads nothing
    with serving.raw() as sock:
        sock.sendall(attach(key))
        _, rest = head_of(sock)
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += sock.send(b"y" * 65536)
        assert sent < 8 << 20
        sock.settimeout(20)
        serving.json("POST", f"/containers/{key}/start")
        sock.sendall(b"y" * 1_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert payload(rest_of(sock, rest)) == f"{sent + 1_000_000}\n".encode()


def test_unread_input_does_not_reset_the_output(serving: Any) -> None:
    key = serving.container("echo", "done")
    with serving.raw() as sock:
        sock.sendall(attach(key))
        _, rest = head_of(sock)
        sock.sendall(b"z" * 300_000)
        serving.json("POST", f"/containers/{key}/start")
        assert payload(rest_of(sock, rest)) == b"done\n"
        sock.sendall(b"more")  # still open: no ECONNRESET while the client has not closed


def test_a_client_that_goes_away_detaches(serving: Any) -> None:
    key = serving.container("sleep", "30")
    program = serving.containers.program(key)
    sock = serving.raw()
    sock.sendall(attach(key))
    head_of(sock)
    serving.json("POST", f"/containers/{key}/start")
    sock.close()
    serving.eventually(program.input_gone.is_set)
    assert not program.exit.done()


def test_detach_keys(serving: Any) -> None:
    key = serving.container("cat", Tty=True)
    program = serving.containers.program(key)
    with serving.raw() as sock:
        sock.sendall(attach(key, "stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,y"))
        _, rest = head_of(sock)
        serving.json("POST", f"/containers/{key}/start")
        sock.sendall(b"ab\x10\x11")
        while not rest.endswith(b"\x11"):
            rest += sock.recv(100)
        sock.sendall(b"\x18")
        sock.sendall(b"ydropped")
        assert rest_of(sock, rest) == b"ab\x10\x11"
    assert program.detached == 1


@pytest.mark.parametrize("tty", [True, False])
def test_websocket(serving: Any, tty: bool) -> None:
    key = serving.container("cat", Tty=tty)

    async def talk() -> bytes:
        connector = aiohttp.UnixConnector(str(serving.path))
        async with aiohttp.ClientSession(connector=connector) as session:
            path = f"http://x/containers/{key}/attach/ws?stream=1&stdin=1&stdout=1"
            async with session.ws_connect(path) as ws:
                await serving.containers.start(key)
                await ws.send_bytes(b"plain")
                return bytes((await ws.receive()).data)

    assert serving.run(talk()) == b"plain"
    serving.eventually(lambda: serving.connections() == 0)
    assert serving.containers.program(key).exit.done()


def test_websocket_needs_its_handshake(serving: Any) -> None:
    key = serving.container("cat")
    status, answer = serving.json("GET", f"/containers/{key}/attach/ws?stream=1")
    assert (status, answer) == (400, {"message": "not a WebSocket request"})


def test_bad_detach_keys(serving: Any) -> None:
    key = serving.container("cat", Tty=True)
    status, answer = serving.json("POST", f"/containers/{key}/attach?stream=1&detachKeys=ctrl-9")
    assert (status, answer["message"]) == (400, "Invalid detach keys (ctrl-9) provided")


def test_refused_attach_leaves_the_connection_usable(serving: Any) -> None:
    with serving.raw() as sock:
        sock.sendall(attach("missing") + b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        head, rest = head_of(sock)
        assert head.startswith(b"HTTP/1.1 404")
        while b"HTTP/1.1 200 OK" not in rest:
            chunk = sock.recv(65536)
            assert chunk, rest
            rest += chunk
        assert b"No such container: missing" in rest


def exec_start(key: str, body: bytes = b'{"Detach":false}') -> bytes:
    return (
        f"POST /v1.50/exec/{key}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def make_exec(serving: Any, *command: str, **options: Any) -> str:
    body = {"Cmd": list(command), "AttachStdin": True, "AttachStdout": True, **options}
    status, made = serving.json("POST", "/containers/c/exec", body)
    assert status == 201
    return str(made["Id"])


@pytest.mark.parametrize("cut", [10, 200, 260])
def test_exec_with_its_body_in_pieces(serving: Any, cut: int) -> None:
    key = make_exec(serving, "cat")
    wire = exec_start(key)
    with serving.raw() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.sendall(wire[:cut])
        serving.eventually(lambda: serving.connections() == 1)
        sock.sendall(wire[cut:])
        head, rest = head_of(sock)
        assert head.startswith(b"HTTP/1.1 101")
        sock.sendall(b"input")
        sock.shutdown(socket.SHUT_WR)
        assert payload(rest_of(sock, rest)) == b"input"
    assert serving.json("GET", f"/exec/{key}/json")[1]["ExitCode"] == 0


def test_exec_that_cannot_start_says_so_in_the_stream(serving: Any) -> None:
    key = make_exec(serving, "nope")
    with serving.raw() as sock:
        sock.sendall(exec_start(key))
        head, rest = head_of(sock)
        assert head.startswith(b"HTTP/1.1 101")
        text = payload(rest_of(sock, rest))
    assert text == b'exec: "nope": executable file not found in $PATH\r\n'
    status, answer = serving.json("POST", f"/exec/{key}/start", {"Detach": True})
    assert status == 400
    assert "executable file not found" in answer["message"]


def test_exec_detached_and_unknown(serving: Any) -> None:
    key = make_exec(serving, "exit", "4")
    assert serving.json("POST", f"/exec/{key}/start", {"Detach": True}) == (200, None)
    serving.eventually(serving.execs.made[key][1].exit.done)
    assert serving.json("GET", f"/exec/{key}/json")[1]["ExitCode"] == 4
    assert serving.json("POST", "/exec/none/start", {})[0] == 404
    status, answer = serving.json("POST", "/containers/c/exec", {"Cmd": []})
    assert (status, answer["message"]) == (400, "No exec command specified")


def test_wait_sends_its_head_before_the_exit(serving: Any) -> None:
    key = serving.container("exit", "5")
    with serving.raw() as sock:
        sock.sendall(
            f"POST /containers/{key}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        head, rest = head_of(sock)
        assert head.startswith(b"HTTP/1.1 200")
        assert b"Content-Type: application/json" in head
        assert rest == b""
        serving.json("POST", f"/containers/{key}/start")
        while b'"StatusCode":5' not in rest:
            rest += sock.recv(4096)


def test_events_come_at_once_and_end_with_the_client(serving: Any) -> None:
    filters = "%7B%22type%22%3A%5B%22container%22%5D%7D"
    with serving.raw() as sock:
        sock.sendall(f"GET /events?since=1&filters={filters} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        _, rest = head_of(sock)
        assert serving.system.calls[-1] == ("events", (10**9, None, {"type": ["container"]}))
        for number in range(3):
            happened = event("container", "start", Actor(id=f"c{number}"), time_ns=5)
            serving.loop.call_soon_threadsafe(serving.system.queues[0].put_nowait, happened)
            while f'"id":"c{number}"'.encode() not in rest:
                rest += sock.recv(4096)
    serving.eventually(lambda: not serving.system.queues)


def test_logs(serving: Any) -> None:
    key = serving.container("exit", "0")
    status, headers, body = serving.request("GET", f"/containers/{key}/logs?stdout=1")
    assert status == 200
    assert headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert payload(body) == b"logged\n"
    with serving.raw() as sock:
        sock.sendall(
            f"GET /containers/{key}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        _, rest = head_of(sock)
        while b"logged\n" not in rest:
            rest += sock.recv(4096)
    serving.eventually(lambda: serving.connections() == 0)


def test_a_torn_log_is_reported_in_the_stream(serving: Any) -> None:
    serving.json("POST", "/containers/create?name=torn", {"Image": "i"})
    _, _, body = serving.request("GET", "/containers/torn/logs?stdout=1")
    assert payload(body) == b"logged\n"
    assert payload(body, streams.SYSTEM_ERROR) == b"Error grabbing logs: the log is torn\n"


def test_load(serving: Any) -> None:
    status, headers, body = serving.request("POST", "/images/load?quiet=0", b"archive" * 100_000)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"stream": "Loaded image: a:latest\n"}
    assert body.endswith(b"\r\n")
    assert serving.images.loaded == b"archive" * 100_000
    assert serving.images.calls[-1] == ("load", (False, None))


def test_load_that_fails_early_and_late(serving: Any) -> None:
    assert serving.json("POST", "/images/load", b"bad") == (400, {"message": "not an archive"})
    status, _, body = serving.request("POST", "/images/load", b"half")
    lines = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert lines[-1] == {
        "errorDetail": {"message": "layer is damaged"},
        "error": "layer is damaged",
    }


@pytest.mark.parametrize("way", ["half-close", "close"])
@pytest.mark.parametrize("path", ["/images/load", "/containers/create"])
def test_an_upload_that_ends_early_ends(serving: Any, path: str, way: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n"
    with serving.raw() as sock:
        sock.sendall(head.encode() + b"half")
        if path == "/images/load":
            serving.eventually(lambda: serving.images.loaded == b"half")
        if way == "half-close":
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1000) == b""
    serving.eventually(lambda: serving.connections() == 0)


def test_a_request_and_the_end_of_input_at_once(serving: Any) -> None:
    for _ in range(50):
        with serving.raw() as sock:
            sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            assert b'"ApiVersion"' in rest_of(sock)


def test_expect_continue(serving: Any) -> None:
    with serving.raw() as sock:
        sock.sendall(
            b"POST /images/load HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 4\r\n\r\n"
        )
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"tars")
        assert head_of(sock)[0].startswith(b"HTTP/1.1 200")


def test_save(serving: Any) -> None:
    platform = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D"
    status, headers, body = serving.request(
        "GET", f"/images/get?names=a&names=b&platform={platform}"
    )
    assert (status, headers["Content-Type"]) == (200, "application/x-tar")
    assert body == b"tar" * 1000 + b"end"
    assert serving.images.calls[-1] == ("save", (["a", "b"], "linux/arm64"))


def test_a_save_that_breaks_off_is_not_taken_for_whole(serving: Any) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        serving.request("GET", "/images/torn/get")


def test_import(serving: Any) -> None:
    path = "/images/create?fromSrc=-&repo=a/b&tag=c&changes=CMD%20x&changes=ENV%20y%3D1&message=m"
    status, answer = serving.json("POST", path, b"tar")
    assert (status, answer) == (200, {"status": "sha256:1"})
    options = serving.images.calls[-1][1]
    assert (options["reference"], options["changes"]) == ("a/b:c", ["CMD x", "ENV y=1"])


def test_pull(serving: Any) -> None:
    path = "/images/create?fromImage=a&tag=b&platform=linux/arm64"
    login = base64.urlsafe_b64encode(b'{"username":"me","password":"secret"}').decode()
    status, _, body = serving.request("POST", path, headers={"X-Registry-Auth": login})
    assert status == 200
    assert json.loads(body) == {"status": "Status: Image is up to date for a:b"}
    kind, (name, options) = serving.images.calls[-1]
    assert (kind, name, options["tag"], options["platform"]) == ("pull", "a", "b", "linux/arm64")
    assert options["credentials"].username == "me"
    assert "secret" not in repr(options)
    status, answer = serving.json("POST", "/images/create?fromImage=missing")
    assert (status, answer) == (404, {"message": "pull access denied for missing"})


def test_stopping_ends_streams_at_once(serving: Any) -> None:
    key = serving.container("sleep", "30")
    with serving.raw() as attached, serving.raw() as events:
        attached.sendall(attach(key))
        head_of(attached)
        events.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        head_of(events)
        serving.run(serving.api.close(grace=5))
        assert rest_of(attached) == b""
        rest_of(events)
    assert not serving.system.queues

"""One connection: framing, keep-alive, errors, uploads, hijack."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from knarr.client import duplex
from knarr.client.address import parse
from knarr.client.connection import Connection, NoEngineError
from knarr.client.session import EngineError, Session
from knarr.client.upload import FileUpload, StreamUpload
from knarr.errors import DataLossError, UnavailableError
from support.fake_engine import FakeEngine, Request, answer

TalkTo = Callable[..., Session]
Serve = Callable[[Callable[[Request, socket.socket], bytes | None]], FakeEngine]


def chunked(*pieces: bytes) -> bytes:
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\nT: x\r\n\r\n"


def test_requests_share_a_connection(serve: Serve, talk_to: TalkTo) -> None:
    engine = serve(lambda request, _: answer(200, {"path": request.target}))
    session = talk_to(engine.host)
    assert session.get("/a", [("x", 1)]) == {"path": "/a?x=1"}
    assert session.post("/b", (), {"k": "v"}) == {"path": "/b"}
    assert engine.requests[1].json() == {"k": "v"}
    assert engine.requests[1].headers["content-type"] == "application/json"
    assert len(engine._connections) == 1


def test_pinned_version(serve: Serve, talk_to: TalkTo) -> None:
    engine = serve(lambda request, _: answer(200, {"path": request.target}))
    session = talk_to(engine.host, version="1.44")
    assert session.get("/info") == {"path": "/v1.44/info"}


def test_chunks_and_the_request_after_them(serve: Serve, talk_to: TalkTo) -> None:
    engine = serve(
        lambda request, _: chunked(b"a" * 100000, b"bc") if request.path == "/x" else answer(204)
    )
    session = talk_to(engine.host)
    assert session.call("GET", "/x").read() == b"a" * 100000 + b"bc"
    assert session.delete("/y") is None


def test_body_until_the_end(serve: Serve, talk_to: TalkTo) -> None:
    def script(_: Request, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        sock.shutdown(socket.SHUT_RDWR)

    session = talk_to(serve(script).host)
    assert session.call("GET", "/x").read() == b"all of it"


def test_reconnects_when_the_engine_closed_an_idle_connection(
    serve: Serve, talk_to: TalkTo
) -> None:
    closed = threading.Event()

    def script(request: Request, sock: socket.socket) -> None:
        sock.sendall(answer(200, {"n": request.target}))
        sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    session = talk_to(serve(script).host)
    assert session.get("/1") == {"n": "/1"}
    assert closed.wait(10)
    assert session.get("/2") == {"n": "/2"}


def test_continue_is_passed_over(serve: Serve, talk_to: TalkTo) -> None:
    engine = serve(lambda *_: b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, {"ok": 1}))
    session = talk_to(engine.host)
    assert session.get("/x") == {"ok": 1}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (answer(409, {"message": "in use"}), "in use"),
        (answer(500, b"plain text\n"), "plain text"),
        (answer(404, b""), "Reason (404)"),
        (answer(400, ["odd"]), '["odd"]'),
    ],
)
def test_engine_errors(serve: Serve, talk_to: TalkTo, raw: bytes, message: str) -> None:
    session = talk_to(serve(lambda *_: raw).host)
    with pytest.raises(EngineError) as caught:
        session.get("/x")
    assert str(caught.value) == message
    assert caught.value.status == int(raw.split()[1])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"not http at all\r\n\r\n",
    ],
)
def test_damaged_answers(serve: Serve, talk_to: TalkTo, raw: bytes) -> None:
    def script(_: Request, sock: socket.socket) -> None:
        sock.sendall(raw)
        sock.shutdown(socket.SHUT_RDWR)

    session = talk_to(serve(script).host)
    with pytest.raises(UnavailableError):
        session.call("GET", "/x").read()


def test_endless_head(serve: Serve, talk_to: TalkTo) -> None:
    def script(_: Request, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 300000)
        sock.recv(1)

    session = talk_to(serve(script).host)
    with pytest.raises(UnavailableError, match="endless"):
        session.get("/x")


def test_nobody_listens(tmp_path: Path) -> None:
    connection = Connection(parse(f"unix://{tmp_path}/none.sock"))
    with pytest.raises(NoEngineError, match="Cannot connect to the knarr engine at unix:"):
        connection.open()


def test_tcp(talk_to: TalkTo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one() -> None:
            peer, _ = listener.accept()
            with peer:
                assert b"Host: 127.0.0.1:" in peer.recv(4096)
                peer.sendall(answer(200, {"ok": 1}, Connection="close"))

        thread = threading.Thread(target=serve_one)
        thread.start()
        session = talk_to(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        assert session.get("/x") == {"ok": 1}
        thread.join()


@pytest.mark.parametrize("regular", [True, False])
def test_uploads(serve: Serve, talk_to: TalkTo, tmp_path: Path, regular: bool) -> None:
    data = os.urandom(700_000)
    path = tmp_path / "archive"
    path.write_bytes(data)
    seen: list[int] = []
    engine = serve(lambda request, _: answer(200, {"size": len(request.body)}))
    session = talk_to(engine.host)
    with path.open("rb") as file:
        body = (
            FileUpload(file.fileno(), len(data), seen.append)
            if regular
            else StreamUpload(file.fileno(), seen.append)
        )
        response = session.upload("/images/load", [("quiet", 1)], body)
    assert b"700000" in response.read()
    assert engine.requests[0].body == data
    assert seen[-1] == len(data)
    assert seen == sorted(seen)


def test_upload_that_is_refused_half_way(talk_to: TalkTo, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(50_000_000)

    def refuse() -> None:
        peer, _ = listener.accept()
        peer.recv(1000)
        peer.sendall(answer(400, {"message": "no archive"}, Connection="close"))
        peer.close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        thread = threading.Thread(target=refuse)
        thread.start()
        session = talk_to(f"unix://{tmp_path}/s")
        with path.open("rb") as file, pytest.raises(EngineError, match="no archive"):
            session.upload("/x", (), FileUpload(file.fileno(), 50_000_000, lambda _: None))
        thread.join()


def test_progress_is_read_while_an_upload_is_sent(talk_to: TalkTo, tmp_path: Path) -> None:
    """An engine that reports much before it reads on must not wait for a client that only sends."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20_000_000)
    report = b"%x\r\n%b\r\n" % (3_000_000, b"p" * 3_000_000)

    def serve_one() -> None:
        peer, _ = listener.accept()
        with peer:
            received = len(peer.recv(1000))
            peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + report)
            while received < 20_000_000:
                received += len(peer.recv(1 << 20))
            peer.sendall(b"0\r\n\r\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        thread = threading.Thread(target=serve_one)
        thread.start()
        session = talk_to(f"unix://{tmp_path}/s")
        with path.open("rb") as file:
            body = FileUpload(file.fileno(), 20_000_000, lambda _: None)
            assert len(session.upload("/x", (), body).read()) == 3_000_000
        thread.join()


def test_a_file_that_shrinks_while_it_is_sent(
    serve: Serve, talk_to: TalkTo, tmp_path: Path
) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(b"x" * 1000)
    session = talk_to(serve(lambda *_: answer(200)).host)
    with path.open("rb") as file, pytest.raises(DataLossError, match="shorter"):
        session.upload("/x", (), FileUpload(file.fileno(), 2000, lambda _: None))


def test_hijack_carries_both_directions(serve: Serve, talk_to: TalkTo) -> None:
    def script(_: Request, sock: socket.socket) -> None:
        upgrade = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly "
        sock.sendall(upgrade)
        received = b""
        while piece := sock.recv(65536):
            received += piece
        sock.sendall(b"got %d" % len(received))
        sock.shutdown(socket.SHUT_RDWR)

    session = talk_to(serve(script).host)
    connection = session.connect()
    session.send("POST", "/attach", upgrade=True, connection=connection)
    response = connection.receive()
    assert response.status == 101
    sock, pending = response.hijack()
    reader, writer = os.pipe()
    printed = bytearray()
    conversation = duplex.Duplex(sock, pending, printed.extend)
    feeder = threading.Thread(target=lambda: (os.write(writer, b"y" * 50000), os.close(writer)))
    feeder.start()
    conversation.feed(reader)
    assert conversation.drain()
    feeder.join()
    conversation.close()
    os.close(reader)
    assert bytes(printed) == b"early got 50000"


def test_detaching_ends_the_conversation(serve: Serve, talk_to: TalkTo) -> None:
    from knarr.client.detach import Detector

    received = bytearray()

    def script(_: Request, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        while piece := sock.recv(65536):
            received.extend(piece)

    engine = serve(script)
    session = talk_to(engine.host)
    connection = session.connect()
    session.send("POST", "/attach", upgrade=True, connection=connection)
    conversation = duplex.Duplex(*connection.receive().hijack(), lambda _: None)
    reader, writer = os.pipe()
    os.write(writer, b"typed\x10\x11rest")
    conversation.feed(reader, Detector(b"\x10\x11"))
    assert not conversation.drain()
    conversation.close()
    os.close(reader)
    os.close(writer)
    engine.close()
    assert bytes(received) == b"typed"

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import knarr
from support.fake_engine import FakeEngine, Request

Script = Callable[[Request, socket.socket], bytes | None]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Endless:
    """A script that answers with a head and the beginning of a body, then waits for the client.

    ``left`` is set when the client has closed the connection.
    """

    def __init__(self, beginning: bytes, content_type: str = "application/json") -> None:
        self.left = threading.Event()
        self._raw = HEAD + f"Content-Type: {content_type}\r\n\r\n".encode() + chunk(beginning)

    def __call__(self, _request: Request, sock: socket.socket) -> None:
        sock.sendall(self._raw)
        try:
            while sock.recv(1024):
                pass
        finally:
            self.left.set()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def cut(*raw: bytes) -> Script:
    """A script that sends this and then hangs up."""

    def script(_request: Request, sock: socket.socket) -> None:
        sock.sendall(b"".join(raw))
        sock.shutdown(socket.SHUT_RDWR)

    return script


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Script], FakeEngine]]:
    """Start a fake engine with a script; it ends after the test."""
    started: list[FakeEngine] = []

    def start(script: Script) -> FakeEngine:
        engine = FakeEngine(tmp_path / f"{len(started)}.sock", script)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


@pytest.fixture
def use(serve: Callable[[Script], FakeEngine]) -> Iterator[Callable[..., knarr.Engine]]:
    """Start a fake engine and connect to it."""
    opened: list[knarr.Engine] = []

    def start(script: Script, timeout: float | None = 20.0) -> knarr.Engine:
        opened.append(knarr.connect(serve(script).host, timeout=timeout))
        return opened[-1]

    yield start
    for each in opened:
        each.close()

"""A registry that does what a test tells it, also what no honest one would.

It speaks raw HTTP over real sockets, so that a connection can end in the middle of anything.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from knarr.remotes import Patience

HURRIED = Patience(attempts=4, first=0.001, most=0.004, obeyed=2, connect=10, silence=10)


class Seen(NamedTuple):
    """A request as it came; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Reply(NamedTuple):
    """What is answered. ``drop`` ends the connection after so many bytes of the body.

    ``raw`` writes whatever it likes to the socket instead; the connection is closed after it.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    length: int | None = None
    drop: int | None = None
    raw: Callable[[socket.socket], object] | None = None


Script = Reply | Callable[[Seen], Reply]


class Stub:
    """Listens on a port of its own; answers of one place are given in turn, the last for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._scripts: dict[tuple[str, str], list[Script]] = {}
        self._lock = threading.Lock()
        self.requests: list[Seen] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def on(self, method: str, path: str, *scripts: Script) -> None:
        """Answer requests for ``path`` (without query) by these, in turn."""
        with self._lock:
            self._scripts[method, path] = list(scripts)

    def seen(self, method: str, path: str) -> list[Seen]:
        """The requests for one place so far."""
        with self._lock:
            return [each for each in self.requests if (each.method, each.path) == (method, path)]

    def close(self) -> None:
        # shutdown wakes the thread in accept(2), close alone does not
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(30)
            assert not thread.is_alive()

    def _spawn(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self._listening.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            stack.enter_context(contextlib.suppress(OSError, ValueError))
            connection.settimeout(30)
            if self._tls is None and connection.recv(1, socket.MSG_PEEK) == b"\x16":
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nnot with TLS")
                return
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                stack.callback(connection.close)
            with self._lock:
                self._open.add(connection)
            stack.callback(self._open.discard, connection)
            stream = connection.makefile("rb")
            stack.callback(stream.close)
            while (request := _request(stream, connection)) is not None:
                with self._lock:
                    self.requests.append(request)
                if not _answer(connection, request, self._reply(request)):
                    return

    def _reply(self, request: Seen) -> Reply:
        with self._lock:
            scripts = self._scripts.get((request.method, request.path), [])
            if not scripts:
                return Reply(404, {}, b'{"errors":[]}')
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        return script if isinstance(script, Reply) else script(request)


def blob(
    data: bytes, *drops: int, ranges: bool = True, etag: str = '"v1"'
) -> Callable[[Seen], Reply]:
    """A blob that can be read in parts; the first answers end early, after ``drops`` bytes."""
    left = list(drops)

    def reply(request: Seen) -> Reply:
        drop = left.pop(0) if left else None
        wanted = request.headers.get("range")
        if not ranges or wanted is None or request.headers.get("if-range", etag) != etag:
            return Reply(200, {"ETag": etag}, data, drop=drop)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        headers = {"ETag": etag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return Reply(206, headers, data[start:], drop=drop)

    return reply


def endless(head: bytes, piece: bytes) -> Callable[[socket.socket], object]:
    """Writes ``head``, and ``piece`` until nobody listens."""

    def write(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return write


def reset(connection: socket.socket) -> None:
    """End a connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def stub(tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    running = Stub(tls)
    try:
        yield running
    finally:
        running.close()


def _request(stream: Any, connection: socket.socket) -> Seen | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) < 3:
        return None
    headers = {}
    while (header := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    else:
        body = stream.read(int(headers.get("content-length", "0")))
    return Seen(line[0], line[1], headers, body)


def _answer(connection: socket.socket, request: Seen, reply: Reply) -> bool:
    if reply.raw is not None:
        reply.raw(connection)
        return False
    length = len(reply.body) if reply.length is None else reply.length
    headers = {"Content-Length": str(length), **reply.headers}
    head = f"HTTP/1.1 {reply.status} Status\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = b"" if request.method == "HEAD" else reply.body
    connection.sendall(head.encode("latin-1") + b"\r\n" + body[: reply.drop])
    return reply.drop is None and (len(body) == length or request.method == "HEAD")

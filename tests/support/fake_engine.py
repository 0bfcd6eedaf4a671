"""An engine of a few lines: it records requests and gives scripted answers over a unix socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Request:
    """What a client sent."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body

    @property
    def path(self) -> str:
        """The target without its query and without an API version."""
        path = self.target.partition("?")[0]
        first, _, rest = path.removeprefix("/").partition("/")
        return f"/{rest}" if first.startswith("v1.") else path

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def json(self) -> Any:
        return json.loads(self.body)


def answer(status: int, body: object = b"", **headers: str) -> bytes:
    """A whole response; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(raw)), "Api-Version": "1.51", **headers}
    if not isinstance(body, bytes):
        fields["Content-Type"] = "application/json"
    lines = [
        f"HTTP/1.1 {status} Reason",
        *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + raw


class FakeEngine:
    """Answers with what ``script`` returns; ``None``: it has used the socket itself."""

    def __init__(
        self, path: Path, script: Callable[[Request, socket.socket], bytes | None]
    ) -> None:
        self.host = f"unix://{path}"
        self.requests: list[Request] = []
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self._threads[0].start()

    def paths(self) -> list[str]:
        """The requests so far, without pings."""
        return [f"{each.method} {each.path}" for each in self.requests if each.path != "/_ping"]

    def close(self) -> None:
        """End all connections and wait for the threads."""
        for sock in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join()
        for sock in self._connections:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # ValueError: the client broke off in the middle of a body.
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as reader:
            while request := _read(reader):
                self.requests.append(request)
                if request.path == "/_ping":
                    connection.sendall(answer(200, Ostype="linux", Content_Length="0"))
                    continue
                response = self._script(request, connection)
                if response is None:
                    return
                connection.sendall(response)


def _read(reader: Any) -> Request | None:
    first = reader.readline()
    if not first:
        return None
    method, target, _ = first.decode().split(" ")
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
    else:
        body = reader.read(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)

"""A caller's conversation with one engine: requests with JSON, and errors as ``EngineError``.

Paths are given without a version: the engine answers such requests in its newest version, and says
which in every response (``Api-Version``). ``DOCKER_API_VERSION`` pins another.
"""

from __future__ import annotations

from knarr.client import http, jsontext
from knarr.client.address import variable
from knarr.client.connection import Connection
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from knarr.client.address import Address
    from knarr.client.connection import Response
    from knarr.client.upload import Upload

    Query = Iterable[tuple[str, str | int | bool]]
    Headers = Iterable[tuple[str, str]]

API_VERSION = "1.51"
"""The newest version of the Engine API that this client was written for."""


class EngineError(KnarrError):
    """The engine refused: ``status`` is the HTTP status, ``message`` the engine's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Session:
    """Requests to one engine, over one connection unless a caller opens more."""

    def __init__(self, address: Address, *, version: str | None = None) -> None:
        self.address = address
        pinned = version or variable("DOCKER_API_VERSION")
        self._prefix = f"/v{pinned}" if pinned else ""
        self._connection = Connection(address)
        self._opened = [self._connection]

    def open(self) -> None:
        """Connect now, not at the first request.

        Errors: ``NoEngineError``, ``PermissionDeniedError``.
        """
        self._connection.open()

    def close(self) -> None:
        """Close all connections; the next request connects anew."""
        for connection in self._opened:
            connection.close()
        del self._opened[1:]

    def connect(self) -> Connection:
        """A further connection, for a request that is answered late or taken over."""
        connection = Connection(self.address)
        self._opened.append(connection)
        return connection

    def send(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: object = None,
        *,
        headers: Headers = (),
        upgrade: bool = False,
        connection: Connection | None = None,
    ) -> Connection:
        """Send a request; ``receive`` with the returned connection gets its answer.

        ``body`` is encoded as JSON; ``upgrade`` asks for a hijacked connection.
        """
        connection = connection or self._connection
        payload = b""
        headers = list(headers)
        if body is not None:
            payload = jsontext.dumps(body).encode("ascii", "surrogateescape")
            headers.append(("Content-Type", "application/json"))
        if upgrade:
            headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")]
        connection.send(method, self._prefix + path + http.query(query), payload, headers)
        return connection

    def upload(self, path: str, query: Query, body: Upload, *, method: str = "POST") -> Response:
        """Send a tar stream."""
        target = self._prefix + path + http.query(query)
        headers = [("Content-Type", "application/x-tar")]
        self._connection.send(method, target, body, headers)
        return receive(self._connection)

    def call(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: object = None,
        *,
        headers: Headers = (),
    ) -> Response:
        """Send a request and read the head of the answer.

        Errors: ``EngineError`` for a status of 400 and more.
        """
        return receive(self.send(method, path, query, body, headers=headers))

    def get(self, path: str, query: Query = (), *, headers: Headers = ()) -> Any:
        """The JSON document at ``path``."""
        return jsontext.loads(self.call("GET", path, query, headers=headers).read())

    def post(self, path: str, query: Query = (), body: object = None) -> Any:
        """POST, and the JSON document of the answer; ``None`` if it has no body."""
        text = self.call("POST", path, query, body).read()
        return jsontext.loads(text) if text.strip() else None

    def delete(self, path: str, query: Query = ()) -> Any:
        """DELETE, and the JSON document of the answer; ``None`` if it has no body."""
        text = self.call("DELETE", path, query).read()
        return jsontext.loads(text) if text.strip() else None

    def stream(
        self, method: str, path: str, query: Query = (), *, headers: Headers = ()
    ) -> Iterator[Any]:
        """The documents of a stream (events, progress), as they come."""
        return jsontext.documents(self.call(method, path, query, headers=headers).chunks())


def receive(connection: Connection) -> Response:
    """Read the head of an answer.

    Errors: ``EngineError`` for a status of 400 and more, with the engine's message.
    """
    response = connection.receive()
    if response.status >= 400:
        raise EngineError(response.status, _message(response))
    return response


def _message(response: Response) -> str:
    text = response.read()
    try:
        value = jsontext.loads(text)
        return str(value["message"])
    except (ValueError, KeyError, TypeError):
        pass
    plain = text.decode("utf-8", "replace").strip()
    return plain or f"{response.head.reason} ({response.status})"

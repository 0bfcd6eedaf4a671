"""Carries requests to the engine over a pool of connections, and waits for the answers.

Law: a connection serves one request at a time; it goes back to the pool only when its answer was
read to the end. So threads never meet on one.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from knarr.client.connection import Connection, NoEngineError
from knarr.errors import KnarrError, UnavailableError
from knarr.sdk.core import failures
from knarr.sdk.core.request import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.client.address import Address
    from knarr.client.connection import Response
    from knarr.sdk.core.request import Operation, Request

    from .upload import Pieces

T = TypeVar("T")

_IDLE = 8


class Transport:
    """The connections to one engine. ``timeout``: seconds of silence that are too many."""

    def __init__(self, address: Address, timeout: float | None) -> None:
        self.address = address
        self.timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    def open(self) -> None:
        """Connect now, not at the first request. Raises ``NoEngineError``."""
        connection = Connection(self.address, timeout=self.timeout)
        with translated(self.timeout, self.address):
            connection.open()
        self._give(connection)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def call(
        self, operation: Operation[T], upload: Pieces | None = None, *, within: float | None = None
    ) -> T:
        """Do it, and understand the answer. ``within`` takes the place of the usual timeout."""
        limit = within
        if within is None and self.timeout is not None and operation.patience is not None:
            limit = self.timeout + operation.patience
        connection = self._take()
        try:
            with translated(limit, self.address, upload):
                response = _exchange(connection, operation.request, upload, limit)
                body = response.read()
        except BaseException:
            connection.close()
            raise
        if upload is None:
            self._give(connection)
        else:
            connection.close()
        if response.status >= 400:
            raise failures.from_answer(response.status, response.head.reason, body)
        return operation.parse(Answer(response.head, body))

    def start(self, request: Request, upload: Pieces | None = None) -> tuple[Connection, Response]:
        """Do it, and leave the body of the answer, or what the connection became, to the caller."""
        limit = None if upload else self.timeout
        connection = self._take()
        try:
            with translated(limit, self.address, upload):
                response = _exchange(connection, request, upload, limit)
                body = response.read() if response.status >= 400 else b""
        except BaseException:
            connection.close()
            raise
        if response.status >= 400:
            connection.close()
            raise failures.from_answer(response.status, response.head.reason, body)
        connection.limit(None)
        return connection, response

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Connection(self.address, timeout=self.timeout)

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()


@contextmanager
def translated(
    limit: float | None, address: Address | None = None, upload: Pieces | None = None
) -> Iterator[None]:
    """Errors of sockets become errors of this library; those of the caller's content stay."""
    try:
        yield
    except (OSError, KnarrError) as error:
        if upload is not None and upload.failure is not None:
            raise upload.failure from None
        if isinstance(error, KnarrError) and not isinstance(error, NoEngineError):
            raise
        raise _understood(error, limit, address) from error


def _understood(
    error: OSError | KnarrError, limit: float | None, address: Address | None
) -> Exception:
    if isinstance(error, KnarrError):
        hint = failures.no_engine(address) if address else error.hint
        return NoEngineError(error.message, hint=hint)
    if isinstance(error, TimeoutError):
        return failures.too_late(limit)
    return UnavailableError(f"the connection to the engine broke: {error}")


def _exchange(
    connection: Connection, request: Request, upload: Pieces | None, limit: float | None
) -> Response:
    connection.limit(limit)
    connection.send(request.method, request.target, upload or request.body, request.headers)
    return connection.receive()

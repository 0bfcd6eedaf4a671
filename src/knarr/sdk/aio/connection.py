"""One connection to the engine over asyncio streams, and one exchange over it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from knarr.client import http
from knarr.client.connection import unreachable
from knarr.errors import UnavailableError

from . import upload as uploads

if TYPE_CHECKING:
    from knarr.client.address import Address
    from knarr.client.http import Head
    from knarr.sdk.core.request import Request

_BLOCK = 64 * 1024
_STEP = 0.01
_HUNG_UP = "the engine hung up before its answer was complete"


async def dial(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection. Raises ``NoEngineError``, ``PermissionDeniedError``."""
    try:
        if not address.path:
            return await asyncio.open_connection(address.host, address.port, limit=http.LIMIT)
        sock = await _unix_socket(address.path)
        try:
            return await asyncio.open_unix_connection(sock=sock, limit=http.LIMIT)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise unreachable(address, error) from error


async def _unix_socket(path: str) -> socket.socket:
    """A connected socket.

    The engine's queue may be full: a socket that does not wait is then refused for the moment, and
    nothing tells when to try again.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:
                await asyncio.sleep(_STEP)
            else:
                return sock
    except BaseException:
        sock.close()
        raise


class Connection:
    """A connection that serves one exchange after another."""

    def __init__(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self.reader = reader
        self.writer = writer

    @property
    def alive(self) -> bool:
        """Whether the engine has not closed it."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    def abort(self) -> None:
        """Close it at once."""
        self.writer.transport.abort()

    def abandon(self) -> None:
        """Close it; may be called in any thread, also when the loop is closed."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and with it the connection
            self._loop.call_soon_threadsafe(self.abort)

    async def aclose(self) -> None:
        """Close it, and wait until it is closed."""
        self.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def exchange(self, request: Request, upload: uploads.Source | None) -> Exchange:
        """Send a request and read the head of its answer.

        Errors: ``UnavailableError`` if the engine hung up, ``MalformedResponseError``; what the
        upload raises.
        """
        sending: asyncio.Task[None] | None = None
        try:
            self._send_head(request, chunked=upload is not None)
            if upload is not None:
                sending = asyncio.ensure_future(uploads.send(self.writer, upload))
                sending.add_done_callback(self._after_upload)
            exchange = Exchange(self, request, sending)
            await exchange.receive_head()
        except BaseException:
            self.abort()
            if sending is not None:
                sending.cancel()
            raise
        return exchange

    def _send_head(self, request: Request, *, chunked: bool) -> None:
        fields = [("Host", self._address.authority), ("User-Agent", "knarr"), *request.headers]
        if chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif request.body or request.method in ("POST", "PUT"):
            fields.append(("Content-Length", str(len(request.body))))
        head = http.request(request.method, request.target, fields)
        self.writer.write(head + request.body)

    def _after_upload(self, sending: asyncio.Task[None]) -> None:
        """An upload that broke off leaves nothing to wait for, unless the engine has answered."""
        if sending.cancelled() or isinstance(sending.exception(), ConnectionError):
            return
        if sending.exception() is not None:
            self.abort()


class Exchange:
    """An answer under way: its head, then its body or both directions of the connection."""

    head: Head

    def __init__(
        self, connection: Connection, request: Request, sending: asyncio.Task[None] | None
    ) -> None:
        self.connection = connection
        self._request = request
        self._sending = sending
        self._body: http.Body | None = None
        self._ready: list[bytes] = []

    async def receive_head(self) -> None:
        """Read the head; 100 Continue is passed over."""
        while True:
            self.head = http.parse(await self._head())
            if self.head.status >= 200 or self.head.status == 101:
                break
        if not self.is_upgraded:
            bodyless = self._request.method == "HEAD" or self.head.status in (204, 304)
            self._body = http.Body(self.head, bodyless=bodyless)

    @property
    def is_upgraded(self) -> bool:
        """Whether the connection became a two-way stream."""
        return self._request.upgrade and self.head.status < 300

    @property
    def reusable(self) -> bool:
        """Whether the connection may serve another exchange."""
        body = self._body
        if body is None or self._sending is not None or self.head.closes:
            return False
        return body.done and not body.rest

    async def read(self) -> bytes:
        """What comes next of the body, or of the stream; empty at the end.

        Errors: ``UnavailableError`` if the connection ends before the body does.
        """
        body = self._body
        while body is not None:
            if self._ready:
                return self._ready.pop(0)
            if body.done:
                return b""
            data = await self._receive()
            if not data:
                self._raise_upload()
                body.end()
                return b""
            self._ready = body.feed(data)
        return await self._receive()

    async def _receive(self) -> bytes:
        try:
            return await self.connection.reader.read(_BLOCK)
        except ConnectionError:
            return b""

    async def _head(self) -> bytes:
        try:
            raw = await self.connection.reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise http.MalformedResponseError("the engine sent an endless head") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._raise_upload()
            raise UnavailableError(_HUNG_UP) from error
        return raw[:-4]

    def _raise_upload(self) -> None:
        """If the upload is why the connection ended, raise what it raised."""
        sending = self._sending
        if sending is None or not sending.done() or sending.cancelled():
            return
        error = sending.exception()
        if error is not None and not isinstance(error, ConnectionError):
            raise error

    def abort(self) -> None:
        """Close the connection at once."""
        if self._sending is not None:
            self._sending.cancel()
        self.connection.abort()

    def abandon(self) -> None:
        """As ``abort``, in any thread."""
        self.connection.abandon()

    async def aclose(self) -> None:
        """Close the connection, and wait until it is closed."""
        self.abort()
        await self.connection.aclose()

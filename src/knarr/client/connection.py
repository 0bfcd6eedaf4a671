"""One HTTP/1.1 connection to the engine, kept alive between requests.

A request is ``send`` and then ``receive``, so that a caller may send on two connections before it
reads from either. The body of a response is read before the next request; ``hijack`` gives the
bare socket to the caller instead.

``_socket`` is the C part of ``socket``: the same calls, without the cost of importing ``enum``.
"""

from __future__ import annotations

import _socket

from knarr.client import http
from knarr.errors import KnarrError, PermissionDeniedError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.client.address import Address
    from knarr.client.upload import Sending, Upload

_BLOCK = 64 * 1024
_BODY_LIMIT = 256 * 1024 * 1024


class NoEngineError(UnavailableError):
    """Nothing answers at the engine's address."""


class Response:
    """A response whose head was read; its body is read by exactly one of the methods."""

    __slots__ = ("_body", "_connection", "head", "status")

    def __init__(self, connection: Connection, head: http.Head, *, bodyless: bool) -> None:
        self.head = head
        self.status = head.status
        self._connection = connection
        self._body = http.Body(head, bodyless=bodyless)

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece as it arrives.

        Errors: ``UnavailableError`` if the connection ends before the body does.
        """
        connection, body = self._connection, self._body
        data = connection.take()
        while True:
            if data:
                yield from body.feed(data)
            if body.done:
                break
            data = connection.more(may_end=body.endless)
            if not data:
                break
        connection.done(body)

    def read(self) -> bytes:
        """The whole body.

        Errors: ``UnavailableError`` if it is incomplete or larger than 256 MiB.
        """
        pieces = []
        size = 0
        for piece in self.chunks():
            size += len(piece)
            if size > _BODY_LIMIT:
                raise UnavailableError("the engine sent an answer larger than 256 MiB")
            pieces.append(piece)
        return b"".join(pieces)

    def hijack(self) -> tuple[_socket.socket, bytes]:
        """Take the socket, and what was already read from it behind the head; the caller closes."""
        return self._connection.surrender()


class Connection:
    """A connection that is opened by the first request."""

    def __init__(self, address: Address, *, timeout: float | None = None) -> None:
        self._address = address
        self._timeout = timeout
        self._socket: _socket.socket | None = None
        self._buffer = b""
        self._bodyless = False
        self._sending: Sending | None = None
        self.closing = False

    def open(self) -> None:
        """Connect, if there is no connection.

        Errors: ``NoEngineError``, ``PermissionDeniedError``.
        """
        self._connected()

    def limit(self, timeout: float | None) -> None:
        """From now on ``TimeoutError`` when nothing moves for so many seconds; None: wait for ever.

        Connecting and sending are limited, too.
        """
        self._timeout = timeout
        if self._socket is not None:
            self._socket.settimeout(timeout)

    def interrupt(self) -> None:
        """Wake a thread that reads or sends: it finds the connection ended. For other threads."""
        if self._socket is not None:
            _shut_down(self._socket)

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Upload = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Send a request; an upload goes on in a second thread.

        An engine that answers before it took the whole body is no error here.

        Errors: ``NoEngineError``, ``PermissionDeniedError`` if there is no connection to be had.
        """
        sock = self._connected()
        self._bodyless = method == "HEAD"
        fields = [("Host", self._address.authority), ("User-Agent", "knarr"), *headers]
        try:
            if isinstance(body, bytes):
                if body or method in ("POST", "PUT"):
                    fields.append(("Content-Length", str(len(body))))
                sock.sendall(http.request(method, target, fields) + body)
            else:
                sock.sendall(http.request(method, target, (*fields, body.framing)))
                self._sending = body.start(sock)
        except (BrokenPipeError, ConnectionResetError):
            self.closing = True

    def receive(self) -> Response:
        """Read the head of the response to the last request; 100 Continue is passed over.

        Errors: ``UnavailableError`` if the engine hung up, ``MalformedResponseError``; what an
        upload could not read.
        """
        while True:
            head = http.parse(self._head())
            if head.status >= 200 or head.status == 101:
                break
        self.closing |= head.closes
        bodyless = self._bodyless or head.status in (204, 304)
        return Response(self, head, bodyless=bodyless)

    def done(self, body: http.Body) -> None:
        """The body was read to its end."""
        self._buffer = body.rest
        if self.closing or body.endless:
            self.close()

    def close(self) -> None:
        """Close; the next request opens it anew."""
        if self._socket is not None:
            if self._sending:
                _shut_down(self._socket)
            self._socket.close()
        self._socket = None
        self._sending = None
        self._buffer = b""
        self.closing = False

    def surrender(self) -> tuple[_socket.socket, bytes]:
        """Give the socket and the unread bytes away."""
        sock, buffer = self._socket, self._buffer
        if sock is None:
            raise UnavailableError("the connection to the engine is closed")
        self._socket, self._buffer = None, b""
        return sock, buffer

    # What a Response reads.

    def take(self) -> bytes:
        """What was already read behind the head."""
        data, self._buffer = self._buffer, b""
        return data

    def more(self, *, may_end: bool) -> bytes:
        """What arrives next; empty at the connection's end if it may end there."""
        return self._receive(may_end=may_end)

    def _head(self) -> bytes:
        end = self._buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(self._buffer) > http.LIMIT:
                raise http.MalformedResponseError("the engine sent an endless head")
            self._buffer += self._receive()
            end = self._buffer.find(b"\r\n\r\n")
        raw = self._buffer[:end]
        self._buffer = self._buffer[end + 4 :]
        return raw

    def _receive(self, *, may_end: bool = False) -> bytes:
        try:
            piece = self._socket.recv(_BLOCK) if self._socket is not None else b""
        except ConnectionResetError:
            piece = b""
        if not piece and not may_end:
            sending = self._sending
            self.close()
            if sending and sending.error:
                raise sending.error
            raise UnavailableError("the engine hung up before its answer was complete")
        return piece

    def _connected(self) -> _socket.socket:
        """The open socket; one that the engine closed while it was idle is opened anew."""
        if self._socket is not None and not self.closing and self._alive(self._socket):
            return self._socket
        self.close()
        self._socket = connect(self._address, self._timeout)
        return self._socket

    def _alive(self, sock: _socket.socket) -> bool:
        if self._timeout is not None:
            sock.settimeout(0)  # or a look would wait for so long
        try:
            sock.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            if self._timeout is not None:
                sock.settimeout(self._timeout)
            return True
        except OSError:
            pass
        return False


def connect(address: Address, timeout: float | None = None) -> _socket.socket:
    """Open a socket to the engine.

    Errors: ``NoEngineError`` if nothing listens there, ``PermissionDeniedError``.
    """
    try:
        return (
            _connect_unix(address.path, timeout) if address.path else _connect_tcp(address, timeout)
        )
    except OSError as error:
        raise unreachable(address, error) from error


def unreachable(address: Address, error: OSError) -> KnarrError:
    """What it means that a connection cannot be opened."""
    if isinstance(error, PermissionError):
        return PermissionDeniedError(
            "permission denied while trying to connect to the knarr engine at "
            f"{address.text}: {error.strerror}"
        )
    hint = None if address.named else 'start one with "knarr daemon" as root'
    problem = f"Cannot connect to the knarr engine at {address.text}. Is it running?"
    return NoEngineError(problem, hint=hint)


def _shut_down(sock: _socket.socket) -> None:
    """Wake a thread that still sends."""
    try:
        sock.shutdown(_socket.SHUT_RDWR)
    except OSError:
        return  # The engine was faster.


def _connect_unix(path: str, timeout: float | None) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        if timeout is not None:
            sock.settimeout(timeout)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _connect_tcp(address: Address, timeout: float | None) -> _socket.socket:
    failure: OSError = OSError("the name has no address")
    found = _socket.getaddrinfo(address.host, address.port, 0, _socket.SOCK_STREAM)
    for family, kind, protocol, _, place in found:
        sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock
    raise failure

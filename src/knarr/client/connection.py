"""One HTTP/1.1 connection to the engine, kept alive between requests.

A request is ``send`` and then ``receive``, so that a caller may send on two connections before it
reads from either. The body of a response is read before the next request; ``hijack`` gives the
bare socket to the caller instead.

``_socket`` is the C part of ``socket``: the same calls, without the cost of importing ``enum``.
"""

from __future__ import annotations

import _socket

from knarr.client import head as heads
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

    __slots__ = ("_connection", "_left", "head", "status")

    def __init__(self, connection: Connection, head: heads.Head, *, bodyless: bool) -> None:
        self.head = head
        self.status = head.status
        self._connection = connection
        self._left = 0 if bodyless else head.length
        if self._left is None and not head.chunked:
            connection.closing = True

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece as it arrives.

        Errors: ``UnavailableError`` if the connection ends before the body does.
        """
        connection = self._connection
        if self._left is not None:
            yield from connection.exactly(self._left)
        elif self.head.chunked:
            yield from connection.chunked()
        else:
            yield from connection.rest()
        connection.done()

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

    def __init__(self, address: Address) -> None:
        self._address = address
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
                sock.sendall(heads.request(method, target, fields) + body)
            else:
                sock.sendall(heads.request(method, target, (*fields, body.framing)))
                self._sending = body.start(sock)
        except (BrokenPipeError, ConnectionResetError):
            self.closing = True

    def receive(self) -> Response:
        """Read the head of the response to the last request; 100 Continue is passed over.

        Errors: ``UnavailableError`` if the engine hung up, ``MalformedResponseError``; what an
        upload could not read.
        """
        while True:
            head = heads.parse(self._head())
            if head.status >= 200 or head.status == 101:
                break
        self.closing |= head.closes
        bodyless = self._bodyless or head.status in (204, 304)
        return Response(self, head, bodyless=bodyless)

    def done(self) -> None:
        """The body was read to its end."""
        if self.closing:
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

    def exactly(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes in pieces."""
        while size:
            piece = self._buffer or self._receive()
            if len(piece) > size:
                self._buffer = piece[size:]
                piece = piece[:size]
            else:
                self._buffer = b""
            size -= len(piece)
            yield piece

    def chunked(self) -> Iterator[bytes]:
        """The pieces of a body in chunks (RFC 9112, 7.1); extensions and trailers are dropped."""
        while True:
            line = self._line()
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise heads.MalformedResponseError("the engine sent a bad chunk length") from None
            if size == 0:
                while self._line():
                    pass
                return
            yield from self.exactly(size)
            self._line()

    def rest(self) -> Iterator[bytes]:
        """Everything until the engine closes the connection."""
        if self._buffer:
            yield self._buffer
            self._buffer = b""
        while piece := self._receive(may_end=True):
            yield piece

    def _line(self) -> bytes:
        end = self._buffer.find(b"\r\n")
        while end < 0:
            if len(self._buffer) > heads.LIMIT:
                raise heads.MalformedResponseError("the engine sent an endless line")
            self._buffer += self._receive()
            end = self._buffer.find(b"\r\n")
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 2 :]
        return line

    def _head(self) -> bytes:
        end = self._buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(self._buffer) > heads.LIMIT:
                raise heads.MalformedResponseError("the engine sent an endless head")
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
        if self._socket is not None and not self.closing and _alive(self._socket):
            return self._socket
        self.close()
        self._socket = connect(self._address)
        return self._socket


def _alive(sock: _socket.socket) -> bool:
    try:
        sock.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def connect(address: Address) -> _socket.socket:
    """Open a socket to the engine.

    Errors: ``NoEngineError`` if nothing listens there, ``PermissionDeniedError``.
    """
    try:
        return _connect_unix(address.path) if address.path else _connect_tcp(address)
    except PermissionError as error:
        raise PermissionDeniedError(
            "permission denied while trying to connect to the knarr engine at "
            f"{address.text}: {error.strerror}"
        ) from error
    except OSError as error:
        raise _no_engine(address) from error


def _shut_down(sock: _socket.socket) -> None:
    """Wake a thread that still sends."""
    try:
        sock.shutdown(_socket.SHUT_RDWR)
    except OSError:
        return  # The engine was faster.


def _connect_unix(path: str) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _connect_tcp(address: Address) -> _socket.socket:
    failure: OSError = OSError("the name has no address")
    found = _socket.getaddrinfo(address.host, address.port, 0, _socket.SOCK_STREAM)
    for family, kind, protocol, _, place in found:
        sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, protocol)
        try:
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock
    raise failure


def _no_engine(address: Address) -> KnarrError:
    hint = None if address.named else 'start one with "knarr daemon" as root'
    problem = f"Cannot connect to the knarr engine at {address.text}. Is it running?"
    return NoEngineError(problem, hint=hint)

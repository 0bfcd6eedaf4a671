"""An HTTP connection that can be taken over (hijacked) without losing a byte.

Docker clients turn the connection of ``attach`` and ``exec start`` into a raw stream. What such a
client sends after its request is standard input, not HTTP, and it may come in the same packet, with
the end of input right behind it. aiohttp's parser would read it as a next request. So: when the
bytes that begin a new request are a POST to one of these two, only that request is fed to the
parser and all that follows is held back, until the handler takes the connection over or has
answered.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import StreamReader

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger(__name__)

#: Go's default limit of header bytes, which Docker has too.
MAX_HEADER = 1 << 20
#: Bytes of early standard input that are held before reading from the client stops.
_MAX_HELD = 1 << 18
_MAX_DIGITS = 18


class Taken(NamedTuple):
    """What a take-over gives: the transport, bytes that came early, and whether input has ended."""

    transport: asyncio.Transport
    early: bytes
    eof: bool


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_canned", "_eof", "_held", "_held_eof", "_last_body", "_left", "_stream")

    def __init__(self, manager: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's annotation forgets its own None
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            auto_decompress=False,
            # A body that nobody wants (of a refused upload) is read and dropped this long, so that
            # the client gets to reading the answer.
            lingering_time=10.0,
        )
        self._canned = manager.canned
        self._held: bytes | None = None
        self._held_eof = False
        self._eof = False
        self._last_body: StreamReader | None = None
        self._left = 0
        self._stream: asyncio.Task[object] | None = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser, or hold back what follows a request that may be taken over."""
        if self._held is None:
            answer = self._canned.get(data.partition(b"\r\n")[0])
            if answer and self._idle() and data.find(b"\r\n\r\n") == len(data) - 4:
                if self.transport is not None:
                    self.transport.write(answer)
                return
            size = _request_size(data) if self._idle() else None
            if size is None:
                self._parse(data)
                return
            self._held, self._left = b"", size
        request, rest = data[: self._left], data[self._left :]
        self._left -= len(request)
        if request:
            self._parse(request)
        self._held += rest
        if len(self._held) > _MAX_HELD and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio.Protocol has it
        """Keep the connection for what is still to be answered; a stream that is sent ends."""
        if self._held is not None and not self._left:
            self._held_eof = True
            return True
        complete = self._last_body is not None and self._last_body.is_eof()
        if self._stream is None and complete and not self._idle():
            self._eof = True
            if not self._messages:
                self.close()  # behind the answer, which may be on its way already
            return True
        return super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the stream that is being sent, if any; other handlers run to their end."""
        super().connection_lost(exc)
        if self._stream is not None:
            self._stream.cancel()

    def end_with_client(self) -> None:
        """Cancel the current task when the client goes away."""
        self._stream = asyncio.current_task()
        if self._eof and self.transport is not None:
            self.transport.close()

    def cancel_stream(self) -> None:
        """Cancel what ``end_with_client`` has marked: the engine stops."""
        if self._stream is not None:
            self._stream.cancel()

    def release(self) -> None:
        """The request is answered and was not taken over: what was held back is HTTP after all."""
        self._stream = None
        if self._eof and not self._messages:
            self.close()
        if self._held is None:
            return
        held, self._held = self._held, None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        if held:
            self._parse(held)
        if self._held_eof:
            self.close()

    def take_over(self, protocol: asyncio.Protocol) -> Taken:
        """Give the transport to ``protocol``. Raises ``ConnectionResetError`` if it is gone.

        The caller gives it back with ``give_back``.
        """
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.end_with_client()
        held, self._held = self._held or b"", None
        transport = self.transport
        transport.set_protocol(protocol)
        transport.resume_reading()
        return Taken(transport, held, self._held_eof)

    def give_back(self, *, lost: bool) -> None:
        """Be the protocol again, so that the connection is closed and forgotten as any other."""
        self._stream = None
        if lost:
            self._loop.call_soon(self.connection_lost, None)
        elif self.transport is not None:
            self.transport.set_protocol(self)

    def log_exception(self, *args: object, **kw: object) -> None:
        """One line for what is the client's fault, a traceback for what is ours."""
        failure = kw.get("exc_info")
        if isinstance(failure, HttpProcessingError):
            first = failure.message.partition("\n")[0].rstrip(":")
            _LOG.info("a client sent what is not HTTP: %s", first)
        elif isinstance(failure, ConnectionError):
            _LOG.debug("a client went away before its answer")
        else:
            super().log_exception(*args, **kw)

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._last_body = self._messages[-1][1]

    def _idle(self) -> bool:
        """Whether the next byte begins a request."""
        if self._current_request is not None or self._messages:
            return False
        return self._waiter is not None or self._request_count == 0


class Server(web.Server):
    """Makes the connections of one engine's sockets."""

    def __init__(self, handler: Handler, canned: Mapping[bytes, bytes]) -> None:
        """``canned``: whole answers by request line, sent without looking at the headers."""
        super().__init__(handler)
        self.canned = canned

    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self, asyncio.get_running_loop())

    def cancel_streams(self) -> None:
        """Cancel every handler that sends a stream that may not end."""
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.cancel_stream()


def _request_size(data: bytes) -> int | None:
    """The bytes of the request that ``data`` begins with if it may be taken over, else None."""
    if not data.startswith(b"POST "):
        return None
    target = data[5 : data.find(b" ", 5)].partition(b"?")[0]
    if not (target.endswith(b"/attach") or (b"/exec/" in target and target.endswith(b"/start"))):
        return None
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = 0
    for line in data[:end].lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            # A length of the wrong form is for the parser to refuse.
            if not value.strip().isdigit() or len(value) > _MAX_DIGITS:
                return None
            length = int(value)
    return end + 4 + length

"""Taking over a client's connection and joining it with the streams of a process.

Law: output is never lost: the connection closes only after the last byte was handed to the kernel.
Neither side is read faster than the other takes it. When the client ends its input (half-close) the
process sees the end of input and its output goes on. When the client goes away the process is
detached and runs on.

Source: Engine API v1.51, ``/containers/{id}/attach`` ("Hijacking").
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from socket import AF_UNIX, SHUT_WR
from typing import TYPE_CHECKING

from aiohttp import web

from knarr.api import detach, streams
from knarr.errors import KnarrError
from knarr.sys import sockets

from .responses import closing

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from knarr.engine.services import Attachment

    from .call import Call
    from .connection import Taken

_LOG = logging.getLogger(__name__)

#: How long a client that got all output may take to close its end, in seconds.
_LINGER = 1.0
#: How long a client may take to read the head before output follows it, in seconds, and how often
#: one looks.
_HEAD_PATIENCE = 1.0
_HEAD_STEP = 0.001
#: Bytes that are buffered for a slow reader before the other side is not read any more.
_HIGH_WATER = 1 << 18


class Hijacked(web.StreamResponse):
    """What a handler returns after it has taken over: aiohttp has nothing left to write."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write no head."""
        self._keep_alive = False

    async def write_eof(self, data: bytes = b"") -> None:
        """Write no end."""


class _Input:
    """What goes into the process: bytes that its socket does not take at once wait here.

    A process may close its input long before its output ends. An asyncio transport would drop both
    when a write fails, so the socket is driven by hand: only the input is given up.
    """

    def __init__(self, sock: socket.socket, source: _Client) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._source = source
        self._waiting = bytearray()
        self._eof = False
        self._broken = False

    def write(self, data: bytes) -> None:
        """Send or keep; the client is not read while much is kept."""
        if self._broken:
            return
        if self._waiting:
            self._waiting += data
        elif rest := self._send(data):
            self._waiting += rest
            self._loop.add_writer(self._sock, self._flush)
        if len(self._waiting) >= _HIGH_WATER:
            self._source.pause_reading()

    def write_eof(self) -> None:
        """Let the process see the end of input after all that was written."""
        self._eof = True
        if not self._waiting:
            self._shutdown()

    def close(self) -> None:
        """Stop writing. The socket stays open."""
        self._broken = True
        if self._waiting:
            self._waiting.clear()
            self._loop.remove_writer(self._sock)

    def _flush(self) -> None:
        self._waiting = bytearray(self._send(self._waiting))
        if not self._waiting:
            self._loop.remove_writer(self._sock)
            self._source.resume_reading()
            if self._eof:
                self._shutdown()

    def _send(self, data: bytes | bytearray) -> bytes:
        """Send what the socket takes; what is left."""
        try:
            return bytes(data[self._sock.send(data) :])
        except BlockingIOError:
            return bytes(data)
        except OSError:
            self._broken = True
            return b""

    def _shutdown(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(SHUT_WR)


class _Client(asyncio.Protocol):
    """The connection of the API's client: its input may hold detach keys, or be of no interest."""

    def __init__(self, attachment: Attachment | None = None, *, takes_input: bool = False) -> None:
        loop = asyncio.get_running_loop()
        #: Done when no more input comes.
        self.ended: asyncio.Future[None] = loop.create_future()
        #: Done when nothing can be sent any more, or the client has detached.
        self.left: asyncio.Future[None] = loop.create_future()
        self.lost = False
        self.input: _Input | None = None
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._head_taken = True
        watched = attachment is not None and attachment.tty and takes_input
        self._scanner = detach.Scanner(attachment.detach_keys if attachment and watched else b"")
        self._on_detach = attachment.on_detach if attachment else None
        self._takes_input = takes_input

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if not self._takes_input or self.input is None:
            return
        data, detached = self._scanner.feed(data)
        if data:
            self.input.write(data)
        if detached:
            self._takes_input = False
            _finish(self.left)
            if self._on_detach is not None:
                self._on_detach()

    def eof_received(self) -> bool:
        _finish(self.ended)
        if self._takes_input and self.input is not None:
            if held := self._scanner.close():
                self.input.write(held)
            self.input.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        _finish(self.ended)
        _finish(self.left)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    async def write(self, data: bytes) -> None:
        """Send, and wait until there is room for more; to a lost client nothing is sent."""
        if not self._head_taken:
            await self._let_head_be_taken()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    def write_head(self, data: bytes) -> None:
        """Send the head. Output follows when the client has read it."""
        if self._transport is not None:
            self._transport.write(data)
            self._head_taken = False

    async def _let_head_be_taken(self) -> None:
        """Wait until the head was read: docker-py loses output that arrives together with it."""
        self._head_taken = True
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.family != AF_UNIX:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEAD_PATIENCE
        with contextlib.suppress(OSError):
            while sockets.unread(sock.fileno()) and loop.time() < deadline:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(_HEAD_STEP)

    async def finish(self) -> None:
        """End the output and let the client close first: input that nobody reads would reset it."""
        self._takes_input = False
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.resume_reading()
        # The other end may have gone this very moment.
        with contextlib.suppress(OSError):
            self._transport.write_eof()
        while not self.ended.done():
            await asyncio.wait({self.ended}, timeout=_LINGER)
            if self._transport.get_write_buffer_size() == 0:
                break


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def upgrade_wanted(call: Call) -> bool:
    """Whether the client asked for a 101 answer; older ones take over after a 200."""
    return "Upgrade" in call.request.headers


def stream_type(call: Call, *, tty: bool) -> str:
    """The content type of a stream; before API 1.42 it was always the raw one."""
    return streams.RAW if tty or call.version < (1, 42) else streams.MULTIPLEXED


async def hijack(call: Call, attachment: Attachment, *, takes_input: bool) -> web.StreamResponse:
    """Answer the request with the streams of ``attachment``; returns when they have ended."""
    with contextlib.ExitStack() as cleanup:
        if attachment.socket is not None:
            cleanup.enter_context(attachment.socket)
        client = _Client(attachment, takes_input=takes_input)
        if attachment.socket is not None:
            attachment.socket.settimeout(0)
            client.input = _Input(attachment.socket, client)
            cleanup.callback(client.input.close)
        taken = call.connection.take_over(client)
        try:
            _begin(call, client, taken, tty=attachment.tty)
            if attachment.begin is not None and not await _started(client, attachment):
                return Hijacked()
            if attachment.logs is not None:
                await _replay(client, attachment.logs)
            if attachment.socket is not None and not client.lost:
                await _relay(client, attachment.socket)
            if attachment.settle is not None and not client.left.done():
                await attachment.settle()
            await client.finish()
        except Exception:  # noqa: BLE001 - the head is out: nothing can be said to the client
            _LOG.exception("a hijacked stream broke off")
        finally:
            call.connection.give_back(lost=client.lost)
    return Hijacked()


async def _started(client: _Client, attachment: Attachment) -> bool:
    """Start the process; an error is said in the stream, which is then at its end."""
    try:
        if attachment.begin is not None:
            await attachment.begin()
    except KnarrError as failure:
        await _say(client, str(failure), tty=attachment.tty)
        await client.finish()
        return False
    return True


async def _say(client: _Client, text: str, *, tty: bool) -> None:
    line = (text + "\r\n").encode()
    await client.write(line if tty else streams.frame(streams.STDOUT, line))


async def refuse_in_stream(call: Call, text: str, *, tty: bool) -> web.StreamResponse:
    """Take over only to say an error: docker shows no body of a refused upgrade."""
    client = _Client()
    taken = call.connection.take_over(client)
    try:
        _begin(call, client, taken, tty=tty)
        await _say(client, text, tty=tty)
        await client.finish()
    finally:
        call.connection.give_back(lost=client.lost)
    return Hijacked()


def _begin(call: Call, client: _Client, taken: Taken, *, tty: bool) -> None:
    client.connection_made(taken.transport)
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {stream_type(call, tty=tty)}"]
    if upgrade_wanted(call):
        lines[0] = "HTTP/1.1 101 UPGRADED"
        lines += ["Connection: Upgrade", "Upgrade: tcp"]
    client.write_head(("\r\n".join(lines) + "\r\n\r\n").encode())
    if taken.early:
        client.data_received(taken.early)
    if taken.eof:
        client.eof_received()


async def _replay(client: _Client, logs: AsyncIterator[bytes]) -> None:
    async with closing(logs):
        async for chunk in logs:
            await client.write(chunk)
            if client.lost:
                return


async def _relay(client: _Client, sock: socket.socket) -> None:
    output = asyncio.create_task(_output(client, sock))
    try:
        await asyncio.wait({output, client.left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        output.cancel()
        # The socket may be closed only when the loop watches it no more.
        (failure,) = await asyncio.gather(output, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure


async def _output(client: _Client, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    # A process that ends with input unread resets the socket, but only after its last output.
    with contextlib.suppress(ConnectionResetError):
        while data := await loop.sock_recv(sock, _HIGH_WATER):
            await client.write(data)

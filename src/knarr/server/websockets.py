"""Attaching to a container by WebSocket: for browsers, which cannot take over a connection.

Law: output goes out as binary messages of plain bytes (never frames), and what comes in is standard
input; closing the socket ends the input and detaches.

Source: Engine API v1.51, ``/containers/{id}/attach/ws``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_websocket import WSMsgType

from knarr.api import streams
from knarr.errors import InvalidArgumentError

from .containers import attach_options, ref
from .responses import closing

if TYPE_CHECKING:
    import socket

    from .call import Call
    from .routing import Router

_CHUNK = 1 << 16


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/containers/{}/attach/ws", attach, streams=True)


async def attach(call: Call) -> web.StreamResponse:
    """``GET /containers/{id}/attach/ws``."""
    answer = web.WebSocketResponse(max_msg_size=1 << 20)
    if not answer.can_prepare(call.request):
        raise InvalidArgumentError("not a WebSocket request")
    options = attach_options(call)
    attachment = await call.engine.containers.attach(ref(call), options)
    with contextlib.ExitStack() as cleanup:
        if attachment.socket is not None:
            cleanup.enter_context(attachment.socket)
            attachment.socket.settimeout(0)
        await answer.prepare(call.request)
        decoder = None if attachment.tty else streams.Decoder()
        if attachment.logs is not None:
            async with closing(attachment.logs):
                async for chunk in attachment.logs:
                    await _send(answer, decoder, chunk)
        if attachment.socket is not None:
            await _relay(answer, attachment.socket, decoder, takes_input=options.stdin)
        await answer.close()
    return answer


async def _relay(
    answer: web.WebSocketResponse,
    sock: socket.socket,
    decoder: streams.Decoder | None,
    *,
    takes_input: bool,
) -> None:
    """Join both directions until either side ends."""
    tasks = {
        asyncio.create_task(_output(answer, sock, decoder)),
        asyncio.create_task(_input(answer, sock if takes_input else None)),
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # The socket may be closed only when the loop watches it no more.
        await asyncio.gather(*tasks, return_exceptions=True)


async def _output(
    answer: web.WebSocketResponse, sock: socket.socket, decoder: streams.Decoder | None
) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionResetError):
        while data := await loop.sock_recv(sock, _CHUNK):
            await _send(answer, decoder, data)


async def _input(answer: web.WebSocketResponse, sock: socket.socket | None) -> None:
    loop = asyncio.get_running_loop()
    async for message in answer:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        try:
            if sock is not None:
                await loop.sock_sendall(sock, data)
        except OSError:
            # The process has closed its input; its output goes on.
            sock = None


async def _send(
    answer: web.WebSocketResponse, decoder: streams.Decoder | None, data: bytes
) -> None:
    for piece in [data] if decoder is None else [each for _, each in decoder.feed(data)]:
        await answer.send_bytes(piece)

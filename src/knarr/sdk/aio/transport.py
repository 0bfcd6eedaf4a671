"""Carries requests to the engine over asyncio streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from knarr.client.connection import NoEngineError
from knarr.errors import KnarrError, UnavailableError
from knarr.sdk.core import failures
from knarr.sdk.core.request import BODY_LIMIT, Answer

from .connection import Connection, dial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from knarr.client.address import Address
    from knarr.sdk.core.request import Operation, Request

    from .connection import Exchange
    from .upload import Source

T = TypeVar("T")

_IDLE = 8


class Discardable(Protocol):
    """What can be removed again."""

    async def discard(self) -> None:
        """Remove it, if it is still there."""


Made = TypeVar("Made", bound=Discardable)


class Transport:
    """The connections to one engine. ``timeout``: seconds that an answer may take."""

    def __init__(self, address: Address, timeout: float | None) -> None:
        self.address = address
        self.timeout = timeout
        self._idle: list[Connection] = []
        self._background: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect now, not at the first request. Raises ``NoEngineError``."""
        async with self._limited(self.timeout):
            self._give(await self._take())

    async def aclose(self) -> None:
        """Wait for what goes on in the background; close the connections that are not in use."""
        while self._background:
            await asyncio.wait(self._background)
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.aclose()

    def abandon(self) -> None:
        """Close the connections without waiting; may be called in any thread."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abandon()

    async def call(self, operation: Operation[T], upload: Source | None = None) -> T:
        """Do it, and understand the answer."""
        limit = None
        if self.timeout is not None and operation.patience is not None:
            limit = self.timeout + operation.patience
        async with self._limited(limit):
            exchange = await self._begin(operation.request, upload)
            body = await self._whole(exchange)
        return operation.parse(Answer(exchange.head, body))

    async def start(self, request: Request, upload: Source | None = None) -> Exchange:
        """Do it, and leave the body of the answer, or what the connection became, to the caller."""
        async with self._limited(None if upload is not None else self.timeout):
            exchange = await self._begin(request, upload)
            if exchange.head.status >= 400:
                await self._whole(exchange)
            return exchange

    async def _begin(self, request: Request, upload: Source | None) -> Exchange:
        connection = await self._take()
        return await connection.exchange(request, upload)

    async def _whole(self, exchange: Exchange) -> bytes:
        """The whole body. Raises what a status of 400 and more means."""
        try:
            body = await _joined(exchange)
        except BaseException:
            exchange.abort()
            raise
        if exchange.reusable:
            self._give(exchange.connection)
        else:
            await exchange.aclose()
        if exchange.head.status >= 400:
            raise failures.from_answer(exchange.head.status, exchange.head.reason, body)
        return body

    # Things that are made, and must not be left behind.

    async def make(self, making: Coroutine[Any, Any, Made]) -> Made:
        """What is made; if this is cancelled, it is removed in the background once it is there."""
        task = self._keep(making)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._keep(_undo(task))
            raise

    async def settle(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it to the end, even if this is cancelled."""
        await asyncio.shield(self._keep(work))

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    # Connections.

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
            connection.abort()
        return Connection(self.address, *await dial(self.address))

    def _give(self, connection: Connection) -> None:
        if len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.abort()

    @contextlib.asynccontextmanager
    async def _limited(self, limit: float | None) -> AsyncIterator[None]:
        """Errors of sockets, and a time that is over, become errors of this library."""
        try:
            async with asyncio.timeout(limit):
                yield
        except NoEngineError as error:
            hint = failures.no_engine(self.address)
            raise NoEngineError(error.message, hint=hint) from error
        except TimeoutError as error:
            raise failures.too_late(limit) from error


async def _joined(exchange: Exchange) -> bytes:
    pieces = []
    size = 0
    while piece := await exchange.read():
        size += len(piece)
        if size > BODY_LIMIT:
            raise UnavailableError("the engine sent an answer larger than 256 MiB")
        pieces.append(piece)
    return b"".join(pieces)


async def _undo(task: asyncio.Task[Made]) -> None:
    with contextlib.suppress(KnarrError):
        await (await task).discard()

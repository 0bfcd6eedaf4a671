"""Answers that go on: asynchronous iterators that close their connection."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from knarr.errors import UnavailableError
from knarr.sdk.core.request import Pump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from knarr.sdk.core.request import Streaming
    from knarr.sdk.sources import Writable

    from .connection import Exchange
    from .transport import Transport
    from .upload import Source

T = TypeVar("T")


class AsyncStream(Generic[T]):
    """An asynchronous iterator over what the engine sends.

    The request is sent by ``async with``, by ``open``, or by the first step of the iteration; the
    connection is closed at the end, at the end of an ``async with`` block, by ``aclose``, when the
    iteration is cancelled, and when the iterator is dropped.
    """

    def __init__(
        self, transport: Transport, streaming: Streaming[T], upload: Source | None = None
    ) -> None:
        self._transport = transport
        self._streaming = streaming
        self._upload = upload
        self._exchange: Exchange | None = None
        self._pump: Pump[bytes, T] | None = None
        self._closed = False

    async def open(self) -> Self:
        """Send the request; errors of the engine are raised here."""
        await self._opened()
        return self

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._closed:
            raise StopAsyncIteration
        try:
            exchange, pump = await self._opened()
            while True:
                item = pump.take()
                if item is not None:
                    return item
                if pump.ended:
                    break
                if data := await exchange.read():
                    pump.push(data)
                else:
                    pump.finish()
        except BaseException:
            self._abort()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection."""
        self._closed = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if getattr(self, "_exchange", None) is not None:
            self._exchange.abandon()  # type: ignore[union-attr]

    async def _opened(self) -> tuple[Exchange, Pump[bytes, T]]:
        if self._closed:
            raise UnavailableError("the stream is closed")
        if self._exchange is None or self._pump is None:
            await self._prepare()
            exchange = await self._transport.start(self._streaming.request, self._upload)
            self._exchange = exchange
            self._pump = Pump(self._streaming.decoder(exchange.head))
        return self._exchange, self._pump

    async def _prepare(self) -> None:
        """What must be done before the request can be sent."""

    def _abort(self) -> None:
        self._closed = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abort()


class AsyncByteStream(AsyncStream[bytes]):
    """Bytes, such as an archive."""

    async def read(self) -> bytes:
        """All of it, in memory."""
        async with self:
            return b"".join([piece async for piece in self])

    async def write_to(self, target: os.PathLike[str] | Writable) -> int:
        """Write all of it to a file, given by its path or open; the number of bytes.

        The writing is done in threads.
        """
        if not isinstance(target, os.PathLike):
            return await self._copy(target)
        async with self:  # a refusal leaves no empty file
            with await asyncio.to_thread(Path(target).open, "wb") as file:
                return await self._copy(file)

    async def _copy(self, file: Writable) -> int:
        size = 0
        async with self:
            async for piece in self:
                await asyncio.to_thread(file.write, piece)
                size += len(piece)
        return size

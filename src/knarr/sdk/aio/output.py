"""What programs write, as chunks and as lines, and what they read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from knarr.errors import UnavailableError
from knarr.sdk.core import decoders
from knarr.sdk.core.request import Pump
from knarr.sdk.core.values import Chunk, Line, Output

from .streams import AsyncStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class AsyncLineIterator:
    """Lines of a stream; closing it closes the stream."""

    def __init__(self, stream: AsyncStream[Chunk]) -> None:
        self._stream = stream
        self._pump: Pump[Chunk, Line] = Pump(decoders.Lines())

    def __aiter__(self) -> AsyncIterator[Line]:
        return self

    async def __anext__(self) -> Line:
        while True:
            line = self._pump.take()
            if line is not None:
                return line
            if self._pump.ended:
                raise StopAsyncIteration
            chunk = await anext(self._stream, None)
            if chunk is None:
                self._pump.finish()
            else:
                self._pump.push(chunk)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


class AsyncOutputStream(AsyncStream[Chunk]):
    """What a program writes: chunks of standard output and standard error, in their order."""

    def lines(self) -> AsyncLineIterator:
        """The same as lines."""
        return AsyncLineIterator(self)

    async def read(self) -> Output:
        """All of it, in memory."""
        pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        async with self:
            async for chunk in self:
                pieces[chunk.stream].append(chunk.data)
        return Output(b"".join(pieces["stdout"]), b"".join(pieces["stderr"]))


class AsyncAttachment(AsyncOutputStream):
    """A program's output, and its standard input."""

    async def send(self, data: bytes) -> None:
        """Send to standard input. Raises ``UnavailableError`` if the connection has ended."""
        exchange, _ = await self._opened()
        try:
            exchange.connection.writer.write(data)
            await exchange.connection.writer.drain()
        except OSError as error:
            raise UnavailableError(f"the program takes no more input: {error}") from error

    async def close_stdin(self) -> None:
        """End standard input; output goes on."""
        exchange, _ = await self._opened()
        if exchange.connection.alive:
            exchange.connection.writer.write_eof()

    async def communicate(self, data: bytes | None = None) -> Output:
        """Send all, end standard input, and read all output."""
        async with self:
            feeding = asyncio.ensure_future(self._feed(data))
            try:
                return await self.read()
            finally:
                feeding.cancel()
                await asyncio.wait({feeding})

    async def _feed(self, data: bytes | None) -> None:
        try:
            if data:
                await self.send(data)
            await self.close_stdin()
        except UnavailableError:
            return  # It ended, or wants no more.

"""Sending what has no length; files are read in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING

from knarr.sdk import sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Source = sources.Source | AsyncIterable[bytes]


async def pieces(source: Source) -> AsyncIterator[bytes]:
    """The content, piece by piece."""
    if isinstance(source, AsyncIterable):
        async for piece in source:
            yield piece
        return
    found = sources.pieces(source)
    if isinstance(source, bytes):
        yield source
        return
    while (block := await asyncio.to_thread(next, found, None)) is not None:
        yield block


async def send(writer: asyncio.StreamWriter, source: Source) -> None:
    """Send it in chunks (RFC 9112, 7.1)."""
    async for piece in pieces(source):
        if piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()

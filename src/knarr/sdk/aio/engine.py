"""The engine, as a program with an event loop sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from knarr.sdk import finding
from knarr.sdk.core import system as requests

from .containers import AsyncContainers
from .images import AsyncImages
from .streams import AsyncStream
from .transport import Transport
from .volumes import AsyncVolumes

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Any, Self

    from knarr.api.events import Event
    from knarr.api.system import DiskUsage, SystemInfo, Version
    from knarr.client.address import Address
    from knarr.sdk.core.request import Filters, Moment
    from knarr.sdk.core.values import Ping


class AsyncEngine:
    """A running engine, for one event loop. ``await`` or ``async with`` connects to it."""

    def __init__(self, address: Address, *, timeout: float | None, start: bool = False) -> None:
        self._transport = Transport(address, timeout)
        self._start = start
        self.containers = AsyncContainers(self._transport)
        self.images = AsyncImages(self._transport)
        self.volumes = AsyncVolumes(self._transport)

    @property
    def host(self) -> str:
        """Its address."""
        return self._transport.address.text

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}>"

    async def open(self) -> Self:
        """Connect now, not at the first request. Raises ``NoEngineError``."""
        if self._start:
            await asyncio.to_thread(finding.start_if_silent, self._transport.address)
        await self._transport.open()
        return self

    async def aclose(self) -> None:
        """Close its connections but those of streams, when all that was made in vain is removed."""
        await self._transport.aclose()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

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
        if hasattr(self, "_transport"):
            self._transport.abandon()

    async def ping(self) -> Ping:
        """See whether it answers."""
        return await self._transport.call(requests.ping())

    async def version(self) -> Version:
        """Which one it is."""
        return await self._transport.call(requests.version())

    async def info(self) -> SystemInfo:
        """What it is and has."""
        return await self._transport.call(requests.info())

    async def disk_usage(self) -> DiskUsage:
        """What takes how much room."""
        return await self._transport.call(requests.disk_usage())

    def events(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        filters: Filters | None = None,
    ) -> AsyncStream[Event]:
        """What happens from now on; with ``since`` also what happened; to ``until`` or for ever.

        Nothing that happens after the stream was opened is missed.
        """
        return AsyncStream(
            self._transport, requests.events(since=since, until=until, chosen=filters)
        )


def connect_async(
    host: str | None = None, *, timeout: float | None = 60.0, start: bool = False
) -> AsyncEngine:
    """A running engine for asyncio: ``async with knarr.connect_async() as engine:``.

    ``await knarr.connect_async()`` connects, too; ``aclose`` then ends it. The arguments are those
    of ``connect``; errors of the connection are raised by ``async with`` or ``await``.
    """
    address = finding.find(host)
    return AsyncEngine(address, timeout=timeout, start=start)

"""Volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import NotFoundError
from knarr.sdk.core import volumes as requests

from .making import Pending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.api import volumes as api
    from knarr.sdk.core.request import Filters

    from .transport import Transport


class AsyncVolume:
    """A volume, known by its name."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncVolume) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    async def inspect(self) -> api.Volume:
        """All about it."""
        return await self._transport.call(requests.inspect(self.name))

    async def remove(self, *, force: bool = False) -> None:
        """Remove it with what is in it; ``force``: it need not be there."""
        await self._transport.call(requests.remove(self.name, force=force))

    async def discard(self) -> None:
        """Remove it, if it is still there."""
        try:
            await self.remove(force=True)
        except NotFoundError:
            return


class AsyncVolumes:
    """All volumes of the engine."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Pending[AsyncVolume]:
        """Make a volume; without a name the engine finds one."""
        operation = requests.create(name, driver=driver, options=options, labels=labels)

        async def make() -> AsyncVolume:
            return AsyncVolume(self._transport, (await self._transport.call(operation)).name)

        return Pending(self._transport, make)

    async def get(self, name: str) -> AsyncVolume:
        """The volume of this name. Raises ``NotFoundError``."""
        volume = AsyncVolume(self._transport, name)
        await volume.inspect()
        return volume

    async def list(self, filters: Filters | None = None) -> tuple[AsyncVolume, ...]:
        """All volumes."""
        found = await self.summaries(filters)
        return tuple(AsyncVolume(self._transport, each.name) for each in found)

    async def summaries(self, filters: Filters | None = None) -> tuple[api.Volume, ...]:
        """What ``docker volume ls`` shows of them."""
        return await self._transport.call(requests.summaries(filters))

    async def prune(self, filters: Filters | None = None) -> api.VolumePrune:
        """Remove anonymous ones that no container uses; with ``{"all": True}`` named ones, too."""
        return await self._transport.call(requests.prune(filters))

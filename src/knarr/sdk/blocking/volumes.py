"""Volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import NotFoundError
from knarr.sdk.core import failures
from knarr.sdk.core import volumes as requests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from knarr.api import volumes as api
    from knarr.sdk.core.request import Filters

    from .transport import Transport


class Volume:
    """A volume, known by its name."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Volume) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def inspect(self) -> api.Volume:
        """All about it."""
        return self._transport.call(requests.inspect(self.name))

    def remove(self, *, force: bool = False) -> None:
        """Remove it with what is in it; ``force``: it need not be there."""
        self._transport.call(requests.remove(self.name, force=force))


class MadeVolume(Volume):
    """A volume that this program made: the end of a ``with`` block removes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with failures.noted(error, self):
            self.discard()

    def discard(self) -> None:
        """Remove it, if it is still there."""
        try:
            self.remove(force=True)
        except NotFoundError:
            return


class Volumes:
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
    ) -> MadeVolume:
        """Make a volume; without a name the engine finds one."""
        operation = requests.create(name, driver=driver, options=options, labels=labels)
        return MadeVolume(self._transport, self._transport.call(operation).name)

    def get(self, name: str) -> Volume:
        """The volume of this name. Raises ``NotFoundError``."""
        volume = Volume(self._transport, name)
        volume.inspect()
        return volume

    def list(self, filters: Filters | None = None) -> tuple[Volume, ...]:
        """All volumes."""
        return tuple(Volume(self._transport, each.name) for each in self.summaries(filters))

    def summaries(self, filters: Filters | None = None) -> tuple[api.Volume, ...]:
        """What ``docker volume ls`` shows of them."""
        return self._transport.call(requests.summaries(filters))

    def prune(self, filters: Filters | None = None) -> api.VolumePrune:
        """Remove anonymous ones that no container uses; with ``{"all": True}`` named ones, too."""
        return self._transport.call(requests.prune(filters))

"""The use cases of networks: for now, the built-in ones that need no addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api.networks import Network, NetworkContainer, NetworkPrune
from knarr.errors import NotFoundError
from knarr.network import modes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .parts import Parts

    Filters = Mapping[str, Sequence[str]]

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNE_FILTERS = frozenset({"label", "label!", "until"})


class Networks:
    """The networks of one engine; the methods are those of ``services.NetworkService``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, filters: Filters) -> Sequence[Network]:
        """All, by name."""
        api_filters.require_known(filters, _FILTERS)
        return [one for one in self._all() if _matches(one, filters)]

    async def inspect(self, name: str) -> Network:
        """Everything about one, by name, id or the beginning of an id."""
        for one in self._all():
            if name == one.name or (name and one.id.startswith(name)):
                return one
        raise NotFoundError(f"network {name} not found")

    async def prune(self, filters: Filters) -> NetworkPrune:
        """Nothing: the built-in ones stay, and there are no others."""
        api_filters.require_known(filters, _PRUNE_FILTERS)
        self._parts.events.publish("network", "prune", "", {"reclaimed": "0"})
        return NetworkPrune()

    def _all(self) -> Sequence[Network]:
        return [
            Network(
                name=name,
                id=modes.network_id(name),
                driver=driver,
                enable_ipv4=True,
                containers={
                    live.id: NetworkContainer(name=live.name, endpoint_id=live.id)
                    for live in self._parts.containers
                    if live.record.is_running and name in live.record.endpoints
                },
            )
            for name, driver in modes.DRIVERS.items()
        ]


def _matches(one: Network, filters: Filters) -> bool:
    tests = (
        ("name", lambda value: value in one.name),
        ("id", one.id.startswith),
        ("driver", lambda value: value == one.driver),
        ("scope", lambda value: value == one.scope),
        ("type", lambda value: value == "builtin"),
        ("label", lambda _value: False),
    )
    return all(
        not filters.get(name) or any(test(value) for value in filters[name]) for name, test in tests
    )

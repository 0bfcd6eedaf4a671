"""The use cases of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api import filters as api_filters
from knarr.api.volumes import UsageData, Volume, VolumeList, VolumePrune
from knarr.errors import ConflictError, NotFoundError
from knarr.volumes.local import ANONYMOUS_LABEL

from . import about

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.api.volumes import VolumeCreateRequest

    from .parts import Parts

    Filters = Mapping[str, Sequence[str]]

_LIST_FILTERS = frozenset({"dangling", "driver", "label", "name"})
_PRUNE_FILTERS = frozenset({"label", "label!", "all"})


class Volumes:
    """The volumes of one engine; the methods are those of ``services.VolumeService``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, request: VolumeCreateRequest) -> Volume:
        """Make one, or answer the one of that name."""
        volume, made = await self._parts.workers.run(
            lambda: self._parts.volumes.create(
                request.name,
                driver=request.driver,
                labels=request.labels,
                options=request.driver_opts,
            )
        )
        if made:
            self._publish("create", volume.name)
        return volume

    def _publish(self, action: str, name: str) -> None:
        self._parts.events.publish("volume", action, name, about.VOLUME)

    def _users(self) -> dict[str, list[str]]:
        """Which containers use which volume."""
        found: dict[str, list[str]] = {}
        for live in self._parts.containers:
            for mount in live.record.mounts:
                if mount.name:
                    found.setdefault(mount.name, []).append(live.id)
        return found

    async def list(self, filters: Filters) -> VolumeList:
        """All, by name."""
        api_filters.require_known(filters, _LIST_FILTERS)
        used = self._users()
        every = await self._parts.workers.run(self._parts.volumes.all)
        return VolumeList(volumes=[one for one in every if _matches(one, filters, used)])

    async def inspect(self, name: str) -> Volume:
        """Everything about one."""
        return await self._parts.workers.run(lambda: self._parts.volumes.get(name))

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete one that no container uses."""
        with self._parts.volumes.claims.removing(name):
            users = self._users().get(name)
            if users:
                raise ConflictError(f"remove {name}: volume is in use - [{', '.join(users)}]")
            try:
                await self._parts.workers.run(lambda: self._parts.volumes.remove(name))
            except NotFoundError:
                if force:
                    return
                raise
        self._parts.trash.empty_soon()
        self._publish("destroy", name)

    async def prune(self, filters: Filters) -> VolumePrune:
        """Delete the unused anonymous ones, with the filter ``all`` the named ones too.

        One with options shows what lies elsewhere: it stays, and counts no room, as in Docker.
        """
        api_filters.require_known(filters, _PRUNE_FILTERS)
        every = api_filters.boolean(filters, "all", default=False)
        used = self._users()
        volumes = await self._parts.workers.run(self._parts.volumes.all)
        unused = [
            one
            for one in volumes
            if one.name not in used
            and not one.options
            and (every or ANONYMOUS_LABEL in (one.labels or {}))
            and _labels_match(one, filters)
        ]
        sizes = await self._parts.workers.bulk(
            lambda: {one.name: self._parts.volumes.usage(one.name) for one in unused}
        )
        deleted = []
        for name in sizes:
            try:
                await self.remove(name)
            except (ConflictError, NotFoundError):
                continue  # taken by a container or removed by someone else meanwhile
            deleted.append(name)
        reclaimed = sum(sizes[name] for name in deleted)
        self._parts.events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return VolumePrune(volumes_deleted=deleted, space_reclaimed=reclaimed)

    async def usage(self) -> Sequence[Volume]:
        """All without options, with their sizes and how many containers use them."""
        used = self._users()

        def measure() -> Sequence[Volume]:
            return [
                msgspec.structs.replace(
                    one,
                    usage_data=UsageData(
                        ref_count=len(used.get(one.name, ())),
                        size=self._parts.volumes.usage(one.name),
                    ),
                )
                for one in self._parts.volumes.all()
                if not one.options
            ]

        return await self._parts.workers.bulk(measure)


def _labels_match(volume: Volume, filters: Filters) -> bool:
    unwanted = filters.get("label!", ())
    return api_filters.match_labels(filters.get("label", ()), volume.labels) and not (
        unwanted and api_filters.match_labels(unwanted, volume.labels)
    )


def _matches(volume: Volume, filters: Filters, used: Mapping[str, object]) -> bool:
    if filters.get("dangling"):
        wanted = api_filters.boolean(filters, "dangling", default=False)
        if wanted == (volume.name in used):
            return False
    names, drivers = filters.get("name"), filters.get("driver")
    return (
        (not names or api_filters.matcher(names)(volume.name))
        and (not drivers or volume.driver in drivers)
        and api_filters.match_labels(filters.get("label", ()), volume.labels)
    )

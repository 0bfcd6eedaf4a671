"""The requests of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.volumes import Volume, VolumeCreateRequest, VolumeList, VolumePrune
from knarr.client import paths

from .request import Operation, Request, filters, message, nothing, posting, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .request import Answer, Filters


def create(
    name: str, *, driver: str, options: Mapping[str, str] | None, labels: Mapping[str, str] | None
) -> Operation[Volume]:
    """Make one."""
    request = VolumeCreateRequest(
        name=name,
        driver=driver,
        driver_opts=dict(options) if options else None,
        labels=dict(labels) if labels else None,
    )
    return Operation(
        posting("/volumes/create", request),
        message(Volume),
    )


def inspect(name: str) -> Operation[Volume]:
    """All about it."""
    return Operation(Request("GET", paths.volume(name)), message(Volume))


def summaries(chosen: Filters | None) -> Operation[tuple[Volume, ...]]:
    """List."""

    def parse(answer: Answer) -> tuple[Volume, ...]:
        return tuple(message(VolumeList)(answer).volumes)

    return Operation(Request("GET", "/volumes", query({"filters": filters(chosen)})), parse)


def remove(name: str, *, force: bool) -> Operation[None]:
    """Remove."""
    return Operation(Request("DELETE", paths.volume(name), query({"force": force})), nothing, None)


def prune(chosen: Filters | None) -> Operation[VolumePrune]:
    """Remove what no container uses."""
    request = Request("POST", "/volumes/prune", query({"filters": filters(chosen)}))
    return Operation(request, message(VolumePrune), None)

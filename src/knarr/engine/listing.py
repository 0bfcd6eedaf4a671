"""``ps``: which containers a list holds, in which order, and how each is summed up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from knarr.api.containers import ContainerSummary, SummaryHostConfig, SummaryNetworkSettings
from knarr.containers import status

from . import inspection, selecting

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .live import ContainerStore, LiveContainer
    from .sizes import Size

    Filters = Mapping[str, Sequence[str]]


def select(
    containers: ContainerStore,
    *,
    every: bool,
    limit: int,
    filters: Filters,
    ancestors: Collection[str] | None,
) -> list[LiveContainer]:
    """The containers that the list holds, newest first.

    ``ancestors`` are ids of images, None when that filter is not given. Raises
    ``InvalidArgumentError`` for filters that do not exist or make no sense.
    """
    tests = list(selecting.tests(containers, filters))
    if ancestors is not None:
        tests.append(lambda live: live.record.image_id in ancestors)
    if not every and limit <= 0 and not filters.get("status"):
        tests.append(lambda live: live.record.is_running or live.is_restarting)
    found = [live for live in containers if all(test(live) for test in tests)]
    found.sort(key=selecting.age, reverse=True)
    return found[:limit] if limit > 0 else found


def summaries(
    found: Iterable[LiveContainer],
    *,
    images: Mapping[str, str],
    sizes: Mapping[str, Size] | None = None,
) -> list[ContainerSummary]:
    """The entries of a list; ``images`` says by container what to show as its image."""
    now = time.time_ns()
    return [
        summary(live, now, image=images[live.id], size=sizes.get(live.id) if sizes else None)
        for live in found
    ]


def summary(
    live: LiveContainer, now_ns: int, *, image: str, size: Size | None = None
) -> ContainerSummary:
    """One entry of the list; ``image`` is what to show as the image."""
    record = live.record
    host = record.host_config
    return ContainerSummary(
        id=record.id,
        names=[f"/{record.name}"],
        image=image,
        image_id=record.image_id,
        command=_command(record.path, record.args),
        created=record.created_ns // 1_000_000_000,
        ports=inspection.exposed(record),
        labels=record.config.labels or {},
        state=record.state.status.value,
        status=status.describe(record.state, now_ns),
        host_config=SummaryHostConfig(network_mode=host.network_mode, annotations=host.annotations),
        network_settings=SummaryNetworkSettings(networks=inspection.endpoints(record)),
        mounts=inspection.mount_points(record),
        size_rw=size.own if size else 0,
        size_root_fs=size.whole if size else 0,
    )


def _command(path: str, args: Sequence[str]) -> str:
    """The command as one line; words with blanks in them are quoted, as Docker does."""
    return " ".join([path, *(f"'{word}'" if " " in word else word for word in args)])

"""``ps``: which containers a list holds, and how each is summed up.

Source: moby ``daemon/list.go`` for the filters and what they mean together: values of one filter
are alternatives (all labels must match), different filters all apply.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api import timestamps
from knarr.api.containers import ContainerSummary, SummaryHostConfig, SummaryNetworkSettings
from knarr.containers import status
from knarr.containers.record import Status
from knarr.errors import InvalidArgumentError, NotFoundError

from . import inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from .live import ContainerStore, LiveContainer
    from .sizes import Size

    Filters = Mapping[str, Sequence[str]]
    Test = Callable[[LiveContainer], bool]

KNOWN = frozenset(
    {
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    }
)
_PRUNE_FILTERS = frozenset({"until", "label", "label!"})
_HEALTH = frozenset({"none", "starting", "healthy", "unhealthy"})


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
    api_filters.require_known(filters, KNOWN)
    tests = list(_tests(containers, filters))
    if ancestors is not None:
        tests.append(lambda live: live.record.image_id in ancestors)
    if not every and limit <= 0 and not filters.get("status") and not filters.get("exited"):
        tests.append(lambda live: live.record.is_running or live.is_restarting)
    ordered = sorted(containers, key=_age, reverse=True)
    found = [live for live in ordered if all(test(live) for test in tests)]
    return found[:limit] if limit > 0 else found


def prunable(containers: ContainerStore, filters: Filters) -> list[LiveContainer]:
    """The containers that ``prune`` removes: those that neither run nor are about to."""
    api_filters.require_known(filters, _PRUNE_FILTERS)
    now = time.time_ns()
    until = [timestamps.parse(value, now=now) for value in filters.get("until", ())]
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
    return [
        live
        for live in containers
        if not (live.record.is_running or live.is_restarting)
        and all(live.record.created_ns <= moment for moment in until)
        and api_filters.match_labels(wanted, live.record.config.labels)
        and not (unwanted and api_filters.match_labels(unwanted, live.record.config.labels))
    ]


def _age(live: LiveContainer) -> tuple[int, str]:
    return live.record.created_ns, live.id


def _tests(containers: ContainerStore, filters: Filters) -> Iterable[Test]:
    simple: dict[str, Callable[[LiveContainer, str], bool]] = {
        "name": _has_name,
        "id": lambda live, value: live.id.startswith(value),
        "status": lambda live, value: live.record.state.status.value == value,
        "health": _has_health,
        "volume": _has_volume,
        "network": _has_network,
        "isolation": lambda _live, value: value in {"", "default"},
    }
    _check_values(filters)
    for name, matches in simple.items():
        values = filters.get(name)
        if values:
            yield _any_of(values, matches)
    if labels := filters.get("label"):
        yield lambda live: api_filters.match_labels(labels, live.record.config.labels)
    if exited := filters.get("exited"):
        codes = {_number(value) for value in exited}
        yield (
            lambda live: (
                live.record.state.status is Status.EXITED and live.record.state.exit_code in codes
            )
        )
    if filters.get("publish"):
        yield lambda _live: False  # no ports are published yet
    if ports := filters.get("expose"):
        yield lambda live: any(_exposes(live, port) for port in ports)
    if tasks := filters.get("is-task"):
        wanted = api_filters.boolean({"is-task": tasks}, "is-task", default=False)
        yield lambda _live: not wanted
    for name, is_before in (("before", True), ("since", False)):
        for value in filters.get(name, ()):
            yield _beside(_reference(containers, value), before=is_before)


def _any_of(values: Sequence[str], matches: Callable[[LiveContainer, str], bool]) -> Test:
    return lambda live: any(matches(live, value) for value in values)


def _check_values(filters: Filters) -> None:
    for value in filters.get("status", ()):
        if value not in set(Status):
            raise InvalidArgumentError(f"invalid filter 'status={value}'")
    for value in filters.get("health", ()):
        if value not in _HEALTH:
            raise InvalidArgumentError(f"invalid filter 'health={value}'")
    for value in filters.get("name", ()):
        try:
            re.compile(value)
        except re.error as error:
            raise InvalidArgumentError(f"invalid filter 'name={value}': {error}") from error


def _reference(containers: ContainerStore, value: str) -> LiveContainer:
    try:
        return containers.get(value)
    except NotFoundError as error:
        raise InvalidArgumentError(error.message) from error


def _beside(reference: LiveContainer, *, before: bool) -> Test:
    if before:
        return lambda live: _age(live) < _age(reference)
    return lambda live: _age(live) > _age(reference)


def _has_name(live: LiveContainer, pattern: str) -> bool:
    """The filter is a regular expression, on the name with or without its slash."""
    return bool(re.search(pattern, f"/{live.name}") or re.search(pattern, live.name))


def _has_health(live: LiveContainer, value: str) -> bool:
    health = live.record.state.health
    return value == ("none" if health is None else health.status)


def _has_volume(live: LiveContainer, value: str) -> bool:
    return any(value in {mount.name, mount.target} for mount in live.record.mounts)


def _has_network(live: LiveContainer, value: str) -> bool:
    return any(
        value == name or (value and endpoint.network_id.startswith(value))
        for name, endpoint in live.record.endpoints.items()
    )


def _exposes(live: LiveContainer, value: str) -> bool:
    return any(value in {port, port.partition("/")[0]} for port in _ports(live))


def _ports(live: LiveContainer) -> Iterable[str]:
    return live.record.config.exposed_ports or {}


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidArgumentError(f"invalid filter 'exited={value}'") from error


def summary(live: LiveContainer, *, image: str, size: Size | None = None) -> ContainerSummary:
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
        labels=dict(record.config.labels or {}),
        state=record.state.status.value,
        status=status.describe(record.state, time.time_ns()),
        host_config=SummaryHostConfig(network_mode=host.network_mode, annotations=host.annotations),
        network_settings=SummaryNetworkSettings(networks=inspection.endpoints(record)),
        mounts=inspection.mount_points(record),
        size_rw=size.own if size else 0,
        size_root_fs=size.whole if size else 0,
    )


def _command(path: str, args: Sequence[str]) -> str:
    """The command as one line; words with blanks in them are quoted, as Docker does."""
    return " ".join([path, *(f"'{word}'" if " " in word else word for word in args)])

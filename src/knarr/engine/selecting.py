"""The filters of ``ps``, ``GET /containers/json`` and ``container prune``.

Source: moby ``daemon/list.go`` for the filters and what they mean together: values of one filter
are alternatives (all labels must match), different filters all apply; only ``publish`` and
``expose`` are alternatives of each other.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api import timestamps
from knarr.containers.record import Status
from knarr.errors import InvalidArgumentError, NotFoundError

from . import inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .live import ContainerStore, LiveContainer

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
_LARGEST_PORT = (1 << 16) - 1


def age(live: LiveContainer) -> tuple[int, str]:
    """What containers are ordered by."""
    return live.record.created_ns, live.id


def tests(containers: ContainerStore, filters: Filters) -> Iterator[Test]:
    """What a container must pass to be in the list; ``ancestor`` is looked at elsewhere.

    Raises ``InvalidArgumentError`` for filters that do not exist or make no sense.
    """
    api_filters.require_known(filters, KNOWN)
    _check_values(filters)
    simple: dict[str, Callable[[LiveContainer, str], bool]] = {
        "id": lambda live, value: bool(value) and live.id.startswith(value),
        "status": lambda live, value: live.record.state.status.value == value,
        "health": _has_health,
        "volume": _has_volume,
        "network": _has_network,
        "isolation": lambda _live, value: value in {"", "default"},
    }
    for name, matches in simple.items():
        if values := filters.get(name):
            yield _any_of(values, matches)
    if names := filters.get("name"):
        yield _is_named(names)
    if labels := filters.get("label"):
        yield lambda live: api_filters.match_labels(labels, live.record.config.labels)
    if exited := filters.get("exited"):
        yield _has_ended({_number(value) for value in exited})
    if filters.get("publish") or filters.get("expose"):
        yield _has_port(*(_ports(filters, name) for name in ("publish", "expose")))
    if tasks := filters.get("is-task"):
        wanted = api_filters.boolean({"is-task": tasks}, "is-task", default=False)
        yield lambda _live: not wanted
    for name, is_before in (("before", True), ("since", False)):
        for value in filters.get(name, ()):
            yield _beside(_reference(containers, value), before=is_before)


def prunable(containers: ContainerStore, filters: Filters) -> list[LiveContainer]:
    """The containers that ``prune`` removes: those that neither run nor are about to."""
    api_filters.require_known(filters, _PRUNE_FILTERS)
    moments = filters.get("until", ())
    if len(moments) > 1:
        raise InvalidArgumentError("more than one until filter specified")
    now = time.time_ns()
    until = [timestamps.parse(value, now=now) for value in moments]
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
    return [
        live
        for live in containers
        if not (live.record.is_running or live.is_restarting)
        and all(live.record.created_ns <= moment for moment in until)
        and api_filters.match_labels(wanted, live.record.config.labels)
        and not (unwanted and api_filters.match_labels(unwanted, live.record.config.labels))
    ]


def _any_of(values: Sequence[str], matches: Callable[[LiveContainer, str], bool]) -> Test:
    return lambda live: any(matches(live, value) for value in values)


def _check_values(filters: Filters) -> None:
    for value in filters.get("status", ()):
        if value not in set(Status):
            raise InvalidArgumentError(f"invalid filter 'status={value}'")
    for value in filters.get("health", ()):
        if value not in _HEALTH:
            raise InvalidArgumentError(f"Unrecognised filter value for health: {value}")


def _is_named(names: Sequence[str]) -> Test:
    """With the slash of the name or without."""
    matches = api_filters.matcher(names)
    return lambda live: matches(live.name) or matches(f"/{live.name}")


def _has_ended(codes: Iterable[int]) -> Test:
    return lambda live: (
        live.record.state.status is Status.EXITED and live.record.state.exit_code in codes
    )


def _has_health(live: LiveContainer, value: str) -> bool:
    health = live.record.state.health
    return value == ("none" if health is None else health.status)


def _has_volume(live: LiveContainer, value: str) -> bool:
    """By the name of a volume, the source of a bind mount, or where it is mounted."""
    return any(value in {mount.name or mount.source, mount.target} for mount in live.record.mounts)


def _has_network(live: LiveContainer, value: str) -> bool:
    return any(
        value == name or (value and endpoint.network_id.startswith(value))
        for name, endpoint in live.record.endpoints.items()
    )


def _has_port(published: set[tuple[int, str]], exposed: set[tuple[int, str]]) -> Test:
    return lambda live: any(
        (port.public_port, port.type) in published or (port.private_port, port.type) in exposed
        for port in inspection.exposed(live.record)
    )


def _ports(filters: Filters, name: str) -> set[tuple[int, str]]:
    """The ports of ``80``, ``53/udp`` and ``8000-8010/tcp``."""
    found = set()
    for value in filters.get(name, ()):
        if ":" in value:
            raise InvalidArgumentError(f"filter for '{name}' should not contain ':': {value}")
        numbers, _, protocol = value.partition("/")
        first, dash, last = numbers.partition("-")
        for text in (first, last if dash else first):
            if not (text.isascii() and text.isdecimal() and int(text[:6]) <= _LARGEST_PORT):
                raise InvalidArgumentError(
                    f"error while looking up for {name} {value}: strconv.ParseUint: parsing "
                    f'"{text}": invalid syntax'
                )
        ports = range(int(first), int(last if dash else first) + 1)
        found |= {(port, protocol or "tcp") for port in ports}
    return found


def _reference(containers: ContainerStore, value: str) -> LiveContainer:
    try:
        return containers.get(value)
    except NotFoundError as error:
        raise InvalidArgumentError(error.message) from error


def _beside(reference: LiveContainer, *, before: bool) -> Test:
    if before:
        return lambda live: age(live) < age(reference)
    return lambda live: age(live) > age(reference)


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidArgumentError(f'strconv.Atoi: parsing "{value}": invalid syntax') from error

"""Which events a listener wants.

Law: pure. Values of one filter are alternatives (all labels must match), different filters all
apply, and a filter that nobody knows changes nothing. The rules are Docker's, also where they
surprise: the filter of a kind (``container``, ``volume``, ...) compares with the beginning of the
id and of the name of every event, whatever its kind.

Source: moby ``daemon/events/filter.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.errors import InvalidArgumentError
from knarr.oci import reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.api.events import Event

_KINDS = (
    "daemon",
    "container",
    "plugin",
    "volume",
    "network",
    "node",
    "service",
    "secret",
    "config",
)
#: Actions that have more behind them (``health_status: healthy``) and may be named without it.
_PREFIXES = frozenset({"health_status", "exec_create", "exec_start"})


def matches(one: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether an event passes."""
    if not filters:
        return True
    return (
        _has_action(one.action, filters.get("event"))
        and _is_one_of(filters.get("type"), {one.type})
        and _is_one_of(filters.get("scope"), {one.scope})
        and all(_begins(one, filters[kind]) for kind in _KINDS if filters.get(kind))
        and _is_of_image(one, filters.get("image"))
        and api_filters.match_labels(filters.get("label", ()), one.actor.attributes)
    )


def _is_one_of(wanted: Sequence[str] | None, actual: set[str]) -> bool:
    return not wanted or not actual.isdisjoint(wanted)


def _has_action(action: str, wanted: Sequence[str] | None) -> bool:
    if wanted and not _PREFIXES.isdisjoint(wanted):
        return action.startswith(tuple(wanted))
    return _is_one_of(wanted, {action})


def _begins(one: Event, wanted: Sequence[str]) -> bool:
    beginnings = tuple(wanted)
    name = one.actor.attributes.get("name", "")
    return one.actor.id.startswith(beginnings) or name.startswith(beginnings)


def _is_of_image(one: Event, wanted: Sequence[str] | None) -> bool:
    """Whether it is about one of these images or a container of one; the tag may be left out."""
    if not wanted:
        return True
    own = "name" if one.type == "image" else "image"
    names = {one.actor.id, one.actor.attributes.get(own, "")}
    return _is_one_of(wanted, names | {_without_tag(name) for name in names})


def _without_tag(name: str) -> str:
    try:
        return reference.parse_normalized(name).familiar_name
    except InvalidArgumentError:
        return name

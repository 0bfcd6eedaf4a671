"""The ``filters`` parameter of list, prune and events requests.

Law: ``parse`` gives filter name to values, whichever of the two JSON forms the client chose: the
map of bools (``{"label": {"a=b": true}}``, API 1.22 and later) or the list
(``{"label": ["a=b"]}``). The messages of its errors are Docker's.

Source: Engine API v1.51, parameter ``filters``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_JSON = msgspec.json.Decoder(dict[str, dict[str, bool] | list[str] | None] | None)


def parse(text: str) -> dict[str, list[str]]:
    """Filter name to values; an empty text is no filter. Raises ``InvalidArgumentError``."""
    if not text:
        return {}
    try:
        raw = _JSON.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidArgumentError("invalid filter", detail=str(error)) from error
    return {name: list(values or ()) for name, values in (raw or {}).items()}


def require_known(filters: Mapping[str, Sequence[str]], known: Collection[str]) -> None:
    """Refuse a filter name that the request does not know."""
    for name in filters:
        if name not in known:
            raise InvalidArgumentError(f"invalid filter '{name}'")


def boolean(filters: Mapping[str, Sequence[str]], name: str, *, default: bool) -> bool:
    """The value of a filter that is true or false (``dangling``)."""
    values = filters.get(name)
    if not values:
        return default
    wanted_true = not {"1", "true"}.isdisjoint(values)
    wanted_false = not {"0", "false"}.isdisjoint(values)
    if wanted_true == wanted_false:
        raise InvalidArgumentError(f"invalid filter '{name}=[{' '.join(values)}]'")
    return wanted_true


def matcher(values: Sequence[str]) -> Callable[[str], bool]:
    """Whether a text is one of the values, or one of them as a regular expression finds it.

    A value that is no expression is only a text, as in Docker.
    """
    patterns = []
    for value in values:
        try:
            patterns.append(re.compile(value))
        except re.error:
            continue
    return lambda text: text in values or any(pattern.search(text) for pattern in patterns)


def match_labels(wanted: Sequence[str], labels: Mapping[str, str] | None) -> bool:
    """Whether all of ``key`` and ``key=value`` in ``wanted`` hold for these labels."""
    have = labels or {}
    for each in wanted:
        key, equals, value = each.partition("=")
        if key not in have or (equals and have[key] != value):
            return False
    return True

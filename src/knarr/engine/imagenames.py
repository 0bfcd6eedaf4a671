"""Images as containers see them: which name to show, and which come from which.

Law: everything here blocks (the database) and belongs into a worker, except ``shown_at_once``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import KnarrError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from knarr.containers.record import Record

    from .parts import Parts


def shown(parts: Parts, records: Iterable[Record]) -> dict[str, str]:
    """For each container the name of its image, or the id where the name means another by now."""
    records = list(records)
    current = {name: _resolve(parts, name) for name in {each.image_name for each in records}}
    return _shown(records, current)


def shown_at_once(parts: Parts, records: Sequence[Record]) -> dict[str, str] | None:
    """As ``shown``, on the loop: None unless all names were asked for lately."""
    current: dict[str, str] = {}
    for name in {each.image_name for each in records}:
        image = parts.images.known(name)
        if image is None:
            return None
        current[name] = image.id
    return _shown(records, current)


def _shown(records: Iterable[Record], current: Mapping[str, str]) -> dict[str, str]:
    return {
        each.id: each.image_name if current[each.image_name] == each.image_id else each.image_id
        for each in records
    }


def _resolve(parts: Parts, name: str) -> str:
    try:
        return parts.images.resolve(name).id
    except KnarrError:
        return ""


def descendants(parts: Parts, names: Iterable[str]) -> frozenset[str]:
    """The ids of the images of these names, and of all that were made from them."""
    ids = {found for name in names if (found := _resolve(parts, name))}
    children = [(row.id, row.parent) for row in parts.database.images.all() if row.parent]
    grown = True
    while grown:
        more = {child for child, parent in children if parent in ids} - ids
        ids |= more
        grown = bool(more)
    return frozenset(ids)

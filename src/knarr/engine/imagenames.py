"""Images as containers see them: which name to show, and which come from which.

Law: everything here blocks (the database) and belongs into a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import KnarrError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.containers.record import Record

    from .parts import Parts


def shown(parts: Parts, records: Iterable[Record]) -> dict[str, str]:
    """For each container the name of its image, or the id where the name means another by now."""
    current: dict[str, str] = {}
    found = {}
    for record in records:
        name = record.image_name
        if name not in current:
            current[name] = _resolve(parts, name)
        found[record.id] = name if current[name] == record.image_id else record.image_id
    return found


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

"""How much room containers take. Blocks: it walks their writable layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.containers.record import Record

    from .parts import Parts


class Size(NamedTuple):
    """Bytes of the writable layer, and of it with the image below."""

    own: int
    whole: int


def of(parts: Parts, records: Iterable[Record]) -> dict[str, Size]:
    """The sizes by container; one that is removed meanwhile counts nothing."""
    layers = parts.database.images.layer_sizes()
    found = {}
    for record in records:
        try:
            own = parts.snapshots.usage(record.id)
        except NotFoundError:
            own = 0
        found[record.id] = Size(own, own + sum(layers.get(layer, 0) for layer in record.layers))
    return found

"""What an event says about its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knarr.containers.record import Record


def container(record: Record, **more: str) -> dict[str, str]:
    """The attributes of an event of a container: labels, image, name, and what is special."""
    return {
        **(record.config.labels or {}),
        "image": record.image_name,
        "name": record.name,
        **more,
    }

"""``image inspect`` and ``history``: an image as the Engine API tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api import timestamps
from knarr.api.containers import DriverData
from knarr.api.images import HistoryItem, ImageInspect, ImageMetadata, RootFS
from knarr.api.message import ZERO_TIME
from knarr.errors import InvalidArgumentError
from knarr.images.image import moment_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.images.image import Image
    from knarr.oci.digest import DiffID

MISSING = "<missing>"
"""The id of a step whose image is not here; only the last step has one."""


def inspect(image: Image, *, driver: str) -> ImageInspect:
    """Everything about an image; ``driver`` names the layer store."""
    view = image.file.view
    steps = view.history or []
    comment = view.comment or (steps[-1].comment if steps else "") or ""
    created = timestamps.rfc3339(image.created_ns) if view.created else ""
    tagged = ZERO_TIME if image.tagged_ns is None else timestamps.rfc3339(image.tagged_ns)
    return ImageInspect(
        id=image.id,
        repo_tags=image.tags(),
        repo_digests=image.digests(),
        parent=image.parent or "",
        comment=comment,
        created=created,
        docker_version=view.docker_version or "",
        author=view.author or "",
        config=image.config,
        architecture=image.platform.architecture,
        variant=image.platform.variant,
        os=image.platform.os,
        os_version=image.platform.os_version,
        size=image.size,
        graph_driver=DriverData(name=driver),
        root_fs=RootFS(layers=list(image.layers)),
        metadata=ImageMetadata(last_tag_time=tagged),
    )


def history(image: Image, parents: list[Image], sizes: Mapping[DiffID, int]) -> list[HistoryItem]:
    """The steps that made the image, newest first.

    The newest step is the image, the one before it the first of ``parents``, and so on; the
    others are missing. Raises InvalidArgumentError when the history has more layers than the
    image.
    """
    layers = iter(image.layers)
    items: list[HistoryItem] = []
    for step in image.file.view.history or ():
        size = 0
        if not step.empty_layer:
            diff_id = next(layers, None)
            if diff_id is None:
                raise InvalidArgumentError("too many non-empty layers in History section")
            size = sizes.get(diff_id, 0)
        items.append(
            HistoryItem(
                comment=step.comment or "",
                created=moment_ns(step.created) // timestamps.SECOND,
                created_by=step.created_by or "",
                id=MISSING,
                size=size,
            )
        )
    items.reverse()
    for position, owner in enumerate([image, *parents][: len(items)]):
        items[position] = _owned(items[position], owner)
    return items


def _owned(item: HistoryItem, owner: Image) -> HistoryItem:
    return HistoryItem(
        comment=item.comment,
        created=item.created,
        created_by=item.created_by,
        id=owner.id,
        size=item.size,
        tags=owner.tags() or None,
    )

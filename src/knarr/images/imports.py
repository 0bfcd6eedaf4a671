"""``docker import``: an image with one layer from the tar of a root filesystem."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from knarr.api import timestamps
from knarr.api.images import ImageConfig
from knarr.errors import InvalidArgumentError
from knarr.images import changes
from knarr.images.expansion import Expanded
from knarr.images.intake import Stored
from knarr.images.load import record
from knarr.images.plan import Found, Plan
from knarr.oci import image_config
from knarr.oci import platform as platforms
from knarr.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.images.stores import Stores
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference
    from knarr.snapshots import LayerInfo


class Description(NamedTuple):
    """What an import says about the image besides its files. ``created_ns`` None: now."""

    changes: Sequence[str] = ()
    message: str = ""
    platform: Platform | None = None
    created_ns: int | None = None
    author: str = ""


def import_(
    stores: Stores, stream: BinaryIO, *, name: Reference | None, description: Description
) -> Digest:
    """Make an image of ``stream`` and return its id.

    The same stream, description and time give the same id. Raises InvalidArgumentError for a bad
    change or tar, ResourceExhaustedError when the disk is full; nothing is left behind then.
    """
    config = changes.apply(ImageConfig(), description.changes)
    if name is not None and name.digest is not None:
        raise InvalidArgumentError("cannot import digest reference")
    with stores.collector.lease("import") as lease:
        with stores.collector.ingesting():
            info = stores.layers.ingest(Expanded(stream).as_file(), expected=None)
            stores.collector.keep(lease, layers=[info.diff_id])
        file = image_config.encode(_document(config, info, description))
        plan = Plan()
        names = (name.with_default_tag(),) if name is not None else ()
        plan.add_image(Found(file, names), [Stored(Digest(info.diff_id), info.size, info)])
        record(stores, lease, plan)
    return file.digest


def _document(
    config: ImageConfig, info: LayerInfo, description: Description
) -> image_config.ImageConfig:
    created = timestamps.rfc3339(created_ns(description.created_ns))
    platform = (description.platform or platforms.host()).normalized()
    if platform.os != "linux":
        raise InvalidArgumentError(f'operating system "{platform.os}" is not supported')
    step = image_config.History(
        created=created, author=description.author or None, comment=description.message or None
    )
    return image_config.ImageConfig(
        created=created,
        author=description.author or None,
        architecture=platform.architecture,
        variant=platform.variant or None,
        os=platform.os,
        config=msgspec.Raw(msgspec.json.encode(config)),
        rootfs=image_config.RootFS(diff_ids=[info.diff_id]),
        history=[step],
    )


def created_ns(said: int | None) -> int:
    """When an image was made: as said, else SOURCE_DATE_EPOCH (seconds), else now."""
    if said is not None:
        return said
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isascii() and epoch.isdigit():
        return int(epoch) * timestamps.SECOND
    return time.time_ns()

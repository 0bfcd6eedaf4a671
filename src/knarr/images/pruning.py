"""``image prune``: deletes the images that nothing uses, and says how much came free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api.images import DeleteItem, ImagePrune
from knarr.errors import ConflictError, NotFoundError
from knarr.images import listing, removal
from knarr.oci import digest as digests

if TYPE_CHECKING:
    from knarr.images.catalog import Catalog
    from knarr.images.image import Image
    from knarr.images.listing import Filters
    from knarr.images.removal import InUse
    from knarr.images.stores import Stores
    from knarr.oci.digest import ChainID


def prune(stores: Stores, catalog: Catalog, filters: Filters, in_use: InUse) -> ImagePrune:
    """Delete dangling images, or with ``dangling=false`` all that no container uses.

    Images that are in use are passed over. Raises InvalidArgumentError for a bad filter.
    """
    api_filters.require_known(filters, listing.PRUNE_KNOWN)
    dangling = api_filters.boolean(filters, "dangling", default=True)
    until, label = listing.until_test(filters), listing.label_test(filters)
    sizes = _chain_sizes(stores)
    items: list[DeleteItem] = []
    for image in catalog.all():
        if (until is None or until(image)) and label(image):
            for name in _targets(stores, image, dangling=dangling):
                items.extend(_remove_quietly(stores, name, in_use))
    stores.collector.sweep()  # also what an earlier failure or a removed container left
    freed = sum(sizes.get(digests.ChainID(item.deleted), 0) for item in items)
    freed += stores.blobs.partial.drop_all()
    return ImagePrune(images_deleted=items or None, space_reclaimed=freed)


def _targets(stores: Stores, image: Image, *, dangling: bool) -> list[str]:
    """What to remove of an image: its names, or its id when it has none."""
    if not image.references:
        is_parent = bool(stores.db.images.children(image.id))
        return [] if is_parent else [digests.hexdigest(image.id)]
    return [] if dangling and image.tags() else list(image.references)


def _remove_quietly(stores: Stores, name: str, in_use: InUse) -> list[DeleteItem]:
    try:
        return removal.remove(stores, name, force=False, prune=True, in_use=in_use)
    except (ConflictError, NotFoundError):
        return []


def _chain_sizes(stores: Stores) -> dict[ChainID, int]:
    """The bytes of the uppermost layer of every stack."""
    sizes = stores.db.images.layer_sizes()
    found: dict[ChainID, int] = {}
    for _, layers in stores.db.images.stacks():
        for chain, diff_id in zip(digests.chain_ids(layers), layers, strict=True):
            found[chain] = sizes.get(diff_id, 0)
    return found

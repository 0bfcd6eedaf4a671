"""What the use cases of images work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from knarr.content import BlobStore
    from knarr.metadata import Collector, Database
    from knarr.snapshots import LayerStore


class Stores(NamedTuple):
    """The state of one engine as far as images are concerned."""

    db: Database
    blobs: BlobStore
    layers: LayerStore
    collector: Collector

"""The images of one engine: every use case, in one object."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from knarr.errors import InvalidArgumentError
from knarr.images import commits, hello, imports, inspection, listing, naming, pruning, removal
from knarr.images import load as loading
from knarr.images import save as saving
from knarr.images.catalog import Catalog
from knarr.images.choice import Wish
from knarr.images.stores import Stores
from knarr.metadata import Collector, RefRow
from knarr.oci import platform as platforms
from knarr.oci import reference as references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from knarr.api.images import (
        DeleteItem,
        HistoryItem,
        ImageInspect,
        ImagePrune,
        ImageSummary,
        Progress,
    )
    from knarr.content import BlobStore
    from knarr.images.commits import Commit
    from knarr.images.fetching import Fetches
    from knarr.images.image import Image
    from knarr.images.imports import Description
    from knarr.images.listing import Filters
    from knarr.images.packing import Packer
    from knarr.images.pull import Order, Pulled
    from knarr.images.push import Order as PushOrder
    from knarr.images.removal import InUse
    from knarr.metadata import Database
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.snapshots import LayerStore

    # Inside the class, ``list`` is the method.
    Summaries = list[ImageSummary]
    Steps = list[HistoryItem]
    Images = list[Image]


class ImageStore:
    """Images; synchronous, and safe to use from several threads.

    Names are taken and given as Docker does: ``debian``, ``debian:12``, an id or the beginning of
    one. Everything that writes is all or nothing, and durable when it returns.
    """

    def __init__(self, db: Database, blobs: BlobStore, layers: LayerStore) -> None:
        self.collector = Collector(db, blobs, layers)
        self._stores = Stores(db, blobs, layers, self.collector)
        self._catalog = Catalog(self._stores)
        self._fetches: Fetches | None = None
        self._packer: Packer | None = None
        self._making = threading.Lock()

    def recover(self) -> None:
        """Clean up after the engine's last end, however it ended; call it before anything else."""
        self.collector.recover()

    def sweep(self) -> None:
        """Delete the files that nothing needs since a container was removed."""
        self.collector.sweep()

    def ensure_hello(self) -> Digest | None:
        """Have ``hello:latest`` after the first start; see ``hello.ensure_hello``."""
        return hello.ensure_hello(self._stores)

    def load(
        self,
        stream: BinaryIO,
        *,
        progress: Callable[[Progress], None] | None = None,
        platform: str | None = None,
        quiet: bool = False,
    ) -> list[str]:
        """Load an archive; returns Docker's lines (``Loaded image: debian:12``).

        ``progress`` gets what happens meanwhile, unless ``quiet``. Raises as ``load.load``.
        """
        wanted = platforms.parse(platform) if platform else platforms.host()
        wish = Wish(wanted, strict=bool(platform))
        tell = _ignore if quiet or progress is None else progress
        return loading.load(self._stores, stream, progress=tell, wish=wish)

    def pull(self, order: Order) -> Pulled:
        """Pull one image by tag or digest; see ``pull.pull``."""
        from knarr.images import fetching, pull  # noqa: PLC0415 - not before the first pull

        with self._making:
            if self._fetches is None:
                self._fetches = fetching.Fetches(self._stores)
        return pull.pull(self._stores, self._fetches, order)

    def push(self, order: PushOrder) -> Digest:
        """Push one tag, which is there; the digest of its manifest. See ``push.push``."""
        from knarr.images import packing, push  # noqa: PLC0415 - no engine needs it before

        with self._making:
            if self._packer is None:
                self._packer = packing.Packer(self._stores)
        key = naming.key(order.name)
        row = self._stores.db.images.find_name(key)
        image = self._catalog.get(order.name.canonical())
        target = row.target if row is not None and row.image_id == image.id else None
        return push.push(self._stores, self._packer, order, image, target)

    def save(self, names: Sequence[str], platform: str | None = None) -> Iterator[bytes]:
        """An archive of these images in chunks; unknown names raise before this returns.

        Close the iterator when it is not read to its end.
        """
        wanted = platforms.parse(platform) if platform else None
        return saving.save(self._stores, self._catalog, names, platform=wanted)

    def import_(
        self, stream: BinaryIO, *, reference: str = "", description: Description | None = None
    ) -> Digest:
        """Make an image of the tar of a root filesystem; returns its id."""
        return imports.import_(
            self._stores,
            stream,
            name=references.parse_normalized(reference) if reference else None,
            description=description or imports.Description(),
        )

    def commit(self, image_id: str, wanted: Commit, name: Reference | None) -> Digest:
        """Make an image on top of another; returns its id. See ``commits.commit``."""
        return commits.commit(self._stores, self._catalog.get(image_id), wanted, name)

    def resolve(self, name: str) -> Image:
        """The image that ``name`` means; raises NotFoundError, InvalidArgumentError."""
        return self._catalog.get(name)

    def known(self, name: str) -> Image | None:
        """What ``resolve`` would say, if that is known without waiting for anything."""
        return self._catalog.known(name)

    def tag(self, source: str, target: str, tag: str = "") -> Reference:
        """Let ``target`` (with ``tag``, if it is given apart) name the image too.

        Returns the whole name that it got. Raises NotFoundError for the source,
        InvalidArgumentError for a target that is no tag.
        """
        image_id = naming.find_id(self._stores, source)
        name = references.parse_normalized(target)
        if name.digest is not None:
            raise InvalidArgumentError("refusing to create a tag with a digest reference")
        name = name.with_tag(tag) if tag else name.with_default_tag()
        self._stores.db.images.point(
            [RefRow(name.canonical(), image_id, self._target(source, image_id))]
        )
        return name

    def remove(
        self, name: str, *, force: bool = False, prune: bool = True, in_use: InUse
    ) -> Sequence[DeleteItem]:
        """Untag, and delete what nothing names any more; see ``removal``."""
        return removal.remove(self._stores, name, force=force, prune=prune, in_use=in_use)

    def list(
        self,
        filters: Filters,
        *,
        every: bool = False,
        shared_size: bool = False,
        containers: Mapping[Digest, int] | None = None,
    ) -> Summaries:
        """Images that pass the filters, newest first.

        ``containers`` says how many containers each image has; without it that is not told.
        """
        shared = None
        if shared_size:
            sizes = self._stores.db.images.layer_sizes()
            shared = listing.shared_sizes(self._catalog.all(), sizes)
        return listing.summaries(
            self._catalog, filters, every=every, shared=shared, containers=containers
        )

    def inspect(self, name: str) -> ImageInspect:
        """Everything about an image."""
        return inspection.inspect(self._catalog.get(name), driver=self._stores.layers.backend)

    def history(self, name: str) -> Steps:
        """The steps that made an image, newest first."""
        image = self._catalog.get(name)
        parents: Images = []
        parent = image.parent
        while parent is not None and self._stores.db.images.find(parent) is not None:
            parents.append(self._catalog.get(parent))
            parent = parents[-1].parent
        return inspection.history(image, parents, self._stores.db.images.layer_sizes())

    def prune(self, filters: Filters, in_use: InUse) -> ImagePrune:
        """Delete the images that nothing uses; see ``pruning``."""
        return pruning.prune(self._stores, self._catalog, filters, in_use)

    def disk_usage(self, containers: Mapping[Digest, int] | None = None) -> tuple[int, Summaries]:
        """The bytes of all layers, each counted once, and the images with what they share."""
        total = sum(self._stores.db.images.layer_sizes().values())
        return total, self.list({}, every=True, shared_size=True, containers=containers or {})

    def count(self) -> int:
        """How many images there are."""
        return len(self._stores.db.images.all())

    def _target(self, source: str, image_id: Digest) -> Digest | None:
        """What a new name of the image points to: what the old one did."""
        if naming.as_id(source) is None:
            row = self._stores.db.images.find_name(naming.key(references.parse_normalized(source)))
            if row is not None:
                return row.target
        targets = {row.target for row in self._stores.db.images.names(image_id)}
        return targets.pop() if len(targets) == 1 else None


def _ignore(_: Progress) -> None:
    """Where nobody wants to know."""

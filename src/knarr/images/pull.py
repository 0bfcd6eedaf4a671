"""``pull``: an image from a registry into the stores.

The tag is resolved to a digest; of an index only the manifest for the wanted platform is read on,
and the index itself is kept; the config says which layers the image has. Those that are here are
used, the others fetched side by side (``fetching``). Then one transaction records everything.

Law: nothing that a registry says is used unchecked: sizes and digests of documents and layers, the
number of layers before the first one is fetched, what each layer is when it is decompressed.
Before the transaction nothing is visible. What was fetched of an image that did not come in whole
waits for the next attempt, unless its content is at fault: then nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.api.images import Progress
from knarr.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from knarr.images import choice
from knarr.images.board import Board
from knarr.images.choice import Wish
from knarr.images.fetching import Wanted, is_hostile, short_id
from knarr.images.image import container_config
from knarr.images.intake import Stored
from knarr.images.load import record
from knarr.images.plan import Found, Plan
from knarr.images.remote_documents import RemoteDocuments
from knarr.oci import platform
from knarr.oci.descriptor import DOCKER_MANIFEST, IMAGE_CONFIGS
from knarr.oci.digest import Digest
from knarr.oci.manifest import Index, Manifest
from knarr.sys import faults

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from knarr.images.fetching import Fetch, Fetches
    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.oci.digest import DiffID
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference
    from knarr.remotes import Repository

    Tell = Callable[[Progress], None]

_CHUNK = 1 << 20
_WAIT_SECONDS = 0.2
_PLUGIN = "application/vnd.docker.plugin.v1+json"


class Order(NamedTuple):
    """What to pull. ``platform`` None: that of the host.

    ``documents`` is where manifest and config come from; ``layers`` makes another such object for
    each layer, because that layer may go on for others when this order is cancelled. ``gone`` is
    set when nobody wants it any more; then ``documents`` is cancelled too.
    """

    name: Reference
    documents: Repository
    layers: Callable[[], Repository]
    platform: Platform | None
    tell: Tell
    gone: threading.Event


class Pulled(NamedTuple):
    """What a pull brought: the image, what the registry named by that tag, whether it was new."""

    image_id: Digest
    digest: Digest
    is_new: bool


def pull(stores: Stores, fetches: Fetches, order: Order) -> Pulled:
    """Pull one tag or digest; what is already here is not fetched.

    Raises NotFoundError for what is not there or not for the platform, InvalidArgumentError for
    what is no image, DataLossError for what is not what it says, UnavailableError for a registry
    that does not answer, and when the client has gone.
    """
    stores.blobs.partial.drop_old()
    with stores.collector.lease("pull") as lease:
        return _Pull(stores, fetches, order, lease).run()


class _Pull:
    def __init__(self, stores: Stores, fetches: Fetches, order: Order, lease: LeaseID) -> None:
        self._stores = stores
        self._fetches = fetches
        self._order = order
        self._lease = lease
        self._plan = Plan()
        self._documents = RemoteDocuments(stores, lease, order.documents)
        self._board = Board()

    def run(self) -> Pulled:
        name = self._order.name
        document = self._documents.read(self._documents.resolve(name))
        _check_class(document)
        self._say(f"Pulling from {name.path}", id=label(name))
        wanted = self._order.platform or platform.host()
        chosen, path = choice.choose(document, Wish(wanted, strict=True), self._documents)
        for each in map(self._documents.known, path):
            self._plan.add_document(each.digest, each.raw)
            self._plan.add_edges(each.edges())
        file = self._documents.config(chosen)
        _check_usable(file)
        layers = self._layers(chosen, file)
        digest = document.digest
        names = self._names(digest, file.digest)
        row = self._stores.db.images.find_name(names[0].canonical())
        is_new = row is None or row.image_id != file.digest
        self._plan.add_image(Found(file, names, path, digest), layers)
        record(self._stores, self._lease, self._plan)
        if self._order.platform is not None and not isinstance(document, Index):
            self._check_platform(file)
        self._say(f"Digest: {digest}")
        return Pulled(file.digest, digest, is_new)

    def _names(self, digest: Digest, image_id: Digest) -> tuple[Reference, ...]:
        """What to name the image: as asked, and by digest.

        As in Docker a digest that means an image already (that of another platform of an index)
        goes on to do so, unless it was asked for.
        """
        name = self._order.name
        by_digest = name._replace(tag=None, digest=digest)
        if name.digest is not None:
            return (by_digest,)
        row = self._stores.db.images.find_name(by_digest.canonical())
        if row is not None and row.image_id != image_id:
            return (name,)
        return name, by_digest

    def _layers(self, of: Manifest, file: ConfigFile) -> list[Stored]:
        if len(of.layers) != len(file.diff_ids):
            raise InvalidArgumentError(
                "invalid manifest, layers length mismatch: "
                f"expected {len(of.layers)}, got {len(file.diff_ids)}"
            )
        every = [
            Wanted(entry, entry.name(), diff_id)
            for entry, diff_id in zip(of.layers, file.diff_ids, strict=True)
        ]
        self._stores.collector.keep(
            self._lease, blobs=[each.digest for each in every], layers=file.diff_ids
        )
        _check_alike(every)
        is_here = self._stores.db.images.find(file.digest) is not None
        missing = self._missing(every, tell=not is_here)
        if missing:
            self._check_room(missing)
            self._fetch(missing)
        return [self._stored(each) for each in every]

    def _missing(self, every: list[Wanted], *, tell: bool) -> list[Wanted]:
        """The layers that have to be fetched, each once; ``tell`` of the others."""
        missing: dict[DiffID, Wanted] = {}
        for each in every:
            if self._stores.layers.find(each.diff_id) is None:
                missing.setdefault(each.diff_id, each)
            elif tell:
                self._say("Already exists", id=short_id(each.digest))
        return list(missing.values())

    def _check_room(self, missing: list[Wanted]) -> None:
        wanted = sum(each.descriptor.size for each in missing)
        free = self._stores.blobs.free_bytes()
        if wanted > free:
            raise ResourceExhaustedError(
                f"no space left on device: the layers have {wanted} bytes, {free} are free"
            )

    def _fetch(self, missing: list[Wanted]) -> None:
        joined: dict[Digest, Fetch] = {}
        drop = False
        try:
            for each in missing:
                joined[each.digest] = self._join(each)
            self._wait(missing, joined)
            found = [fetch.partial for fetch in joined.values() if fetch.partial is not None]
            faults.point("pull.layers-done")
            if found:
                self._stores.blobs.partial.publish(found)
            faults.point("pull.published")
        except BaseException as error:
            full = isinstance(error, ResourceExhaustedError)
            drop = is_hostile(error) or (full and not any(e.refused for e in joined.values()))
            raise
        finally:
            for fetch in joined.values():
                self._fetches.leave(fetch, self._board, drop=drop)

    def _join(self, wanted: Wanted) -> Fetch:
        return self._fetches.join(wanted, self._board, self._order.layers)

    def _wait(self, missing: list[Wanted], joined: dict[Digest, Fetch]) -> None:
        """Tell how far it is until all layers are there."""
        pending = {each.digest: each for each in missing}
        while pending:
            for message in self._board.take(_WAIT_SECONDS):
                self._order.tell(message)
            if self._order.gone.is_set():
                raise UnavailableError("the client has gone away")
            for digest, wanted in list(pending.items()):
                fetch = joined[digest]
                if not fetch.ended.is_set():
                    continue
                if fetch.error is None:
                    _check_same(fetch, wanted)
                    del pending[digest]
                elif fetch.owner is self._board:
                    raise fetch.error
                else:  # what failed for another, with his registry and his wish, may work here
                    del joined[digest]
                    self._fetches.leave(fetch, self._board, drop=False)
                    joined[digest] = self._join(wanted)
        for message in self._board.take(0):
            self._order.tell(message)

    def _stored(self, wanted: Wanted) -> Stored:
        """A layer that is here, with the blob that it came as, if that is here too."""
        info = self._stores.layers.find(wanted.diff_id)
        if info is None:
            raise NotFoundError(f"layer {wanted.diff_id} is missing")
        blob = self._stores.blobs.find(wanted.digest)
        if blob is None:
            return Stored(Digest(wanted.diff_id), info.size, info)
        stored = Stored(wanted.digest, blob.size, info)
        self._plan.add_file(stored)
        return stored

    def _check_platform(self, file: ConfigFile) -> None:
        """A lone manifest is taken whatever it runs on, but that is said."""
        wanted = self._order.platform
        if wanted is not None and platform.best([file.platform], wanted) is None:
            name = self._order.name.familiar()
            self._say(
                f"WARNING: image with reference {name} was found but its platform"
                f" ({file.platform}) does not match the specified platform ({wanted})"
            )

    def _say(self, status: str, *, id: str = "") -> None:  # noqa: A002 - as the message has it
        self._order.tell(Progress(status=status, id=id))


def label(name: Reference) -> str:
    """What the first message is about: the tag, or the whole name with its digest."""
    return name.tag or "" if name.digest is None else name._replace(tag=None).canonical()


def _check_class(document: Manifest | Index) -> None:
    """Refuse what is no image, in Docker's words for documents of its own kind."""
    if isinstance(document, Manifest) and document.media_type == DOCKER_MANIFEST:
        kind = document.config.media_type
        if kind not in IMAGE_CONFIGS:
            what = "plugin" if kind == _PLUGIN else "unknown"
            raise InvalidArgumentError(f'Encountered remote "{kind}"({what}) when fetching')


def _check_usable(file: ConfigFile) -> None:
    """Refuse what no container could be made of."""
    if file.platform.os != "linux":
        raise InvalidArgumentError(
            f'image operating system "{file.platform.os}" cannot be used on this platform'
        )
    container_config(file)  # so that what is recorded can be used


def _check_alike(every: list[Wanted]) -> None:
    """The same blob cannot be two layers."""
    seen: dict[Digest, DiffID] = {}
    for each in every:
        if seen.setdefault(each.digest, each.diff_id) != each.diff_id:
            raise InvalidArgumentError(f"invalid manifest: {each.digest} stands for two layers")


def _check_same(fetch: Fetch, wanted: Wanted) -> None:
    if fetch.wanted.diff_id != wanted.diff_id:
        raise DataLossError(
            f"layer verification failed: expected {wanted.diff_id}, got {fetch.wanted.diff_id}"
        )

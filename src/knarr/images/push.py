"""``push``: an image from the stores to a registry.

Layers go side by side, a bounded number at once: one that the registry has already, in this
repository or in another that we know of, is not sent; one that was never compressed is, and the
blob is kept, so that the next push sends the same digest. Then the config, then the manifest, which
makes all of it visible there; at last it is recorded here that the registry has it.

Law: everything that is sent is held by a lease until the end. A kill at any moment leaves nothing
here but content that the next start deletes; the registry deletes uploads that were not finished.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from knarr.api.images import Aux, Progress, ProgressDetail
from knarr.api.registry import Descriptor as ApiDescriptor
from knarr.errors import NotFoundError, UnavailableError
from knarr.images.board import Board
from knarr.images.outgoing import Piece, Selector, compressed_layer, new_manifest, sources
from knarr.metadata import Content
from knarr.oci.digest import DiffID
from knarr.oci.manifest import Index
from knarr.sys import faults

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from knarr.images.image import Image
    from knarr.images.outgoing import Outgoing
    from knarr.images.packing import Packer
    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Manifest
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference
    from knarr.remotes import Repository

AT_ONCE = 5
"""How many layers of one push are sent at the same time; Docker's ``max-concurrent-uploads``."""

_MOST_MOUNTS = 4
_WAIT_SECONDS = 0.2
_TELL_SECONDS = 0.1


class Order(NamedTuple):
    """What to push where. ``gone`` is set when nobody wants it any more."""

    name: Reference
    repository: Repository
    platform: Platform | None
    tell: Callable[[Progress], None]
    gone: threading.Event


def push(
    stores: Stores, packer: Packer, order: Order, image: Image, target: Digest | None
) -> Digest:
    """Push one tag of an image; the digest of its manifest or index.

    ``target`` is the document behind the tag, if known. Raises NotFoundError for a platform that is
    not here, PermissionDeniedError, UnauthenticatedError, UnavailableError and others in Docker's
    words.
    """
    with stores.collector.lease("push") as lease:
        return _Push(stores, packer, order, lease).run(image, target)


class _Push:
    def __init__(self, stores: Stores, packer: Packer, order: Order, lease: LeaseID) -> None:
        self._stores = stores
        self._packer = packer
        self._order = order
        self._lease = lease
        self._board = Board()
        self._sources: Mapping[Digest, list[str]] = {}

    def run(self, image: Image, target: Digest | None) -> Digest:
        order = self._order
        selector = Selector(self._stores, order.platform)
        outgoing = selector.of(image, order.name, target)
        self._stores.collector.keep(self._lease, blobs=outgoing.digests, layers=_layers(outgoing))
        self._sources = sources(selector, self._stores, order.name)
        layers = self._send_all(outgoing)
        for config in dict.fromkeys(each.digest for each in outgoing.configs):
            entry = next(each for each in outgoing.configs if each.digest == config)
            self._send_config(entry, image)
        documents = outgoing.documents or (new_manifest(outgoing.configs[0], layers),)
        faults.point("push.blobs-done")
        for document in documents[:-1]:
            self._check_wanted()
            order.repository.push_manifest(document.digest, document.raw, document.media_type)
        top = documents[-1]
        self._check_wanted()
        tag = order.name.tag or ""
        order.repository.push_manifest(tag, top.raw, top.media_type)
        faults.point("push.sent")
        self._record(image, documents, layers)
        self._tell_of_index(selector, target, top)
        size = len(top.raw)
        order.tell(Progress(status=f"{tag}: digest: {top.digest} size: {size}"))
        aux = Aux(tag=tag, digest=top.digest, size=size)
        order.tell(Progress(progress_detail=ProgressDetail(), aux=aux))
        return top.digest

    def _tell_of_index(
        self, selector: Selector, target: Digest | None, top: Manifest | Index
    ) -> None:
        """Tell that the digest is another, because not all of the index is here."""
        index = selector.read(target) if target is not None else None
        if self._order.platform is None and isinstance(index, Index) and top != index:
            original, selected = _described(index), _described(top)
            aux = Aux(instead_of_index=True, original_index=original, selected_manifest=selected)
            self._order.tell(Progress(aux=aux))

    # Layers.

    def _send_all(self, outgoing: Outgoing) -> list[Descriptor]:
        """Send the layers, each once; their descriptors in the order of ``pieces``."""
        unique = {_key(piece): piece for piece in reversed(outgoing.pieces)}
        for piece in unique.values():
            self._order.tell(_message(piece.label, "Preparing"))
        for piece in list(unique.values())[AT_ONCE:]:
            self._order.tell(_message(piece.label, "Waiting"))
        threads = min(AT_ONCE, len(unique)) or 1
        with concurrent.futures.ThreadPoolExecutor(threads, "knarr-push") as pool:
            jobs = {key: pool.submit(self._send, piece) for key, piece in unique.items()}
            try:
                self._wait(list(jobs.values()))
            except BaseException:
                for job in jobs.values():
                    job.cancel()
                self._order.gone.set()
                self._order.repository.cancel()
                raise
        return [jobs[_key(piece)].result() for piece in outgoing.pieces]

    def _wait(self, jobs: list[concurrent.futures.Future[Descriptor]]) -> None:
        """Tell how far it is until all are done; raises the first error."""
        while True:
            pending = [job for job in jobs if not job.done()]
            for message in self._board.take(_WAIT_SECONDS if pending else 0):
                self._order.tell(message)
            for job in jobs:
                if job.done():
                    job.result()
            self._check_wanted()
            if not pending:
                return

    def _send(self, piece: Piece) -> Descriptor:
        """In a thread: send one layer; what it is in the manifest."""
        try:
            return self._sent(piece)
        finally:
            self._board.wake()

    def _sent(self, piece: Piece) -> Descriptor:
        self._check_wanted()
        entry = piece.descriptor
        if entry is None:
            entry = self._packed(piece)
        if piece.is_skipped:
            self._board.post(_message(piece.label, "Skipped foreign layer"))
            return entry
        digest = entry.name()
        if self._order.repository.has_blob(digest) is not None:
            self._board.post(_message(piece.label, "Layer already exists"))
            return entry
        for path in self._sources.get(digest, ())[:_MOST_MOUNTS]:
            if self._order.repository.mount_blob(digest, path):
                self._board.post(_message(piece.label, f"Mounted from {path}"))
                return entry
        told = _Told(self._board, piece.label, "Pushing", entry.size)
        self._order.repository.push_blob(entry, self._opener(digest), told)
        self._board.post(_message(piece.label, "Pushed"))
        faults.point("push.layer-done")
        return entry

    def _packed(self, piece: Piece) -> Descriptor:
        told = _Told(self._board, piece.label, "Preparing", 0)

        def progress(done: int, total: int) -> None:
            self._check_wanted()
            told.total = total
            told(done)

        blob = self._packer.pack(piece.diff_id or DiffID(""), self._lease, progress)
        return compressed_layer(blob.digest, blob.size)

    def _opener(self, digest: Digest) -> Callable[[int], BinaryIO]:
        """Opens a blob, or the layer whose diff_id it is."""

        def open_at(offset: int) -> BinaryIO:
            if self._stores.blobs.find(digest) is not None:
                stream = self._stores.blobs.open(digest)
            else:
                stream = self._stores.layers.open_tar(DiffID(digest))
            stream.seek(offset)
            return stream

        return open_at

    # Documents.

    def _send_config(self, entry: Descriptor, image: Image) -> None:
        del image
        self._check_wanted()
        digest = entry.name()
        if self._order.repository.has_blob(digest) is None:
            self._order.repository.push_blob(entry, self._opener(digest))

    def _record(
        self,
        image: Image,
        documents: tuple[Manifest | Index, ...],
        layers: list[Descriptor],
    ) -> None:
        """Remember what the registry has now; an image that was removed meanwhile stays so."""
        blobs: dict[Digest, int] = {}
        for document in documents:
            self._stores.collector.keep(self._lease, blobs=[document.digest])
            self._stores.blobs.put(document.raw)
            blobs[document.digest] = len(document.raw)
        for entry in layers:
            if self._stores.blobs.find(entry.name()) is not None:
                blobs[entry.name()] = entry.size
        top = documents[-1].digest
        name = self._order.name._replace(tag=None, digest=top).canonical()
        edges = [edge for document in documents for edge in document.edges()]
        content = Content(blobs, {}, edges)
        faults.point("push.before-record")
        with contextlib.suppress(NotFoundError):
            self._stores.db.images.attach(image.id, top, [name], content)
        faults.point("push.recorded")

    def _check_wanted(self) -> None:
        if self._order.gone.is_set():
            raise UnavailableError("the client has gone away")


class _Told:
    """Tells how many bytes are done, not too often."""

    def __init__(self, board: Board, label: str, status: str, total: int) -> None:
        self._board = board
        self._label = label
        self._status = status
        self._last = 0.0
        self.total = total

    def __call__(self, done: int) -> None:
        """So many bytes are done."""
        now = time.monotonic()
        if now - self._last >= _TELL_SECONDS:
            self._last = now
            detail = ProgressDetail(current=done, total=self.total)
            self._board.post(_message(self._label, self._status, detail))


def _described(document: Manifest | Index) -> ApiDescriptor:
    return ApiDescriptor(
        media_type=document.media_type, digest=document.digest, size=len(document.raw)
    )


def _key(piece: Piece) -> str:
    return piece.descriptor.digest if piece.descriptor is not None else piece.diff_id or ""


def _layers(outgoing: Outgoing) -> list[DiffID]:
    """What may be here only as a layer: plain tars, and what is to be compressed."""
    found = [piece.diff_id for piece in outgoing.pieces if piece.diff_id is not None]
    return found + [
        DiffID(piece.descriptor.digest) for piece in outgoing.pieces if piece.descriptor is not None
    ]


def _message(label: str, status: str, detail: ProgressDetail | None = None) -> Progress:
    return Progress(id=label, status=status, progress_detail=detail or ProgressDetail())

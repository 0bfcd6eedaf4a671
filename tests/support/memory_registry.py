"""A registry in memory, behind the interface of ``knarr.remotes.Repository``, and its mischief."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from knarr.errors import KnarrError, NotFoundError, UnavailableError
from knarr.oci import manifest
from knarr.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor
from knarr.oci.digest import Digest
from knarr.remotes import Document, Repository

from .image_home import config, layer, sha

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from knarr.oci.reference import Reference


class MemoryRegistry:
    """Blobs, manifests and tags; ``hold`` stops every big blob in its middle until it is set.

    ``break_at`` lets a blob fail by ``error`` after so many bytes. ``served`` counts the bytes
    given of each blob, ``asked`` are the requests for documents.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.by_tag: dict[str, str] = {}
        self.served: dict[str, int] = {}
        self.asked: list[str] = []
        self.hold: threading.Event | None = None
        self.held = threading.Event()
        self.break_at: dict[str, int] = {}
        self.error: KnarrError = UnavailableError("connection reset by peer")

    def repository(self, name: Reference) -> MemoryRepository:
        return MemoryRepository(name, self)

    def blob(self, data: bytes) -> str:
        self.blobs[sha(data)] = data
        return sha(data)

    def put(self, document: dict[str, Any], tag: str = "") -> str:
        raw = json.dumps(document).encode()
        self.manifests[sha(raw)] = document["mediaType"], raw
        if tag:
            self.by_tag[tag] = sha(raw)
        return sha(raw)

    def image(
        self,
        *layers: bytes,
        tag: str = "",
        compress: Callable[[bytes], bytes] | None = lambda data: gzip.compress(data, 1, mtime=0),
        layer_fields: dict[str, Any] | None = None,
        **extra: Any,
    ) -> str:
        """Push an image of these tars; gives the digest of its manifest."""
        raw = config(*layers, **extra)
        entries = []
        for each in layers:
            data = compress(each) if compress else each
            kind = OCI_LAYER + ("+gzip" if compress else "")
            entry = {"mediaType": kind, "digest": self.blob(data), "size": len(data)}
            entries.append(entry | (layer_fields or {}))
        self.blob(raw)
        return self.put(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": sha(raw), "size": len(raw)},
                "layers": entries,
            },
            tag,
        )

    def index(self, entries: list[dict[str, Any]], tag: str = "") -> str:
        """Push an index of manifests that are here (``digest`` and what else is to stand there)."""
        full = []
        for entry in entries:
            kind, raw = self.manifests.get(entry["digest"], (OCI_MANIFEST, b"-"))
            full.append({"mediaType": kind, "size": len(raw)} | entry)
        return self.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": full}, tag)


class MemoryRepository(Repository):
    """One repository of it."""

    def __init__(self, name: Reference, registry: MemoryRegistry) -> None:
        self.name = name
        self.registry = registry
        self.cancelled = threading.Event()

    def _find(self, reference: str) -> tuple[str, str, bytes]:
        digest = self.registry.by_tag.get(reference, reference)
        if digest not in self.registry.manifests:
            raise NotFoundError(
                f"manifest for {self.name.familiar()} not found: manifest unknown: manifest unknown"
            )
        return digest, *self.registry.manifests[digest]

    def resolve(self, reference: str) -> Descriptor:
        digest, kind, raw = self._find(reference)
        return Descriptor(media_type=kind, digest=digest, size=len(raw))

    def manifest(self, reference: str) -> Document:
        self.registry.asked.append(reference)
        digest, kind, raw = self._find(reference)
        return Document(raw, Digest(digest), kind, manifest.parse(raw, kind))

    @contextlib.contextmanager
    def open_blob(self, descriptor: Descriptor, offset: int = 0) -> Iterator[BinaryIO]:
        if descriptor.digest not in self.registry.blobs:
            raise NotFoundError("blob unknown to registry")
        yield cast("BinaryIO", _Reader(self, descriptor.digest, offset))

    def tags(self) -> Iterator[str]:
        return iter(sorted(self.registry.by_tag))

    def cancel(self) -> None:
        self.cancelled.set()


class _Reader:
    def __init__(self, repository: MemoryRepository, digest: str, offset: int) -> None:
        self._repository = repository
        self._registry = repository.registry
        self._digest = digest
        self._data = self._registry.blobs[digest]
        self._stream = io.BytesIO(self._data)
        self._stream.seek(offset)

    def read(self, count: int = -1) -> bytes:
        position = self._stream.tell()
        big = len(self._data) > 10_000  # not a config
        if big and position >= len(self._data) // 2 and self._registry.hold is not None:
            self._registry.held.set()
            while not self._registry.hold.wait(0.01):
                self._check()
        self._check()
        limit = self._registry.break_at.get(self._digest)
        if limit is not None and position >= limit:
            raise self._registry.error
        count = 4096 if count < 0 else min(count, 4096)
        if limit is not None:
            count = min(count, limit - position)
        data = self._stream.read(count)
        served = self._registry.served
        served[self._digest] = served.get(self._digest, 0) + len(data)
        return data

    def _check(self) -> None:
        if self._repository.cancelled.is_set():
            raise UnavailableError("cancelled")


def noise(seed: int, size: int = 100_000) -> bytes:
    """The tar of a layer with a file that does not compress."""
    import random

    return layer({f"file{seed}": random.Random(seed).randbytes(size)})

"""Manifests, indexes and configs of an image on a registry.

Law: a document is used when its size and its digest are what was announced, and not before. What is
here is not fetched. All documents of one image together have a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.content import VerifyingReader
from knarr.errors import DataLossError, InvalidArgumentError
from knarr.images.intake import ALL_DOCUMENTS
from knarr.oci import image_config, manifest
from knarr.oci.descriptor import IMAGE_CONFIGS
from knarr.oci.manifest import Index, Manifest
from knarr.sys import faults

if TYPE_CHECKING:
    from typing import BinaryIO

    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference
    from knarr.remotes import Repository

_CHUNK = 1 << 20


class RemoteDocuments:
    """What one pull reads, each once; a ``choice.Documents``. A lease holds all of it."""

    def __init__(self, stores: Stores, lease: LeaseID, repository: Repository) -> None:
        self._stores = stores
        self._lease = lease
        self._repository = repository
        self._read: dict[Digest, Manifest | Index] = {}
        self._configs: dict[Digest, ConfigFile] = {}
        self._bytes = 0

    def resolve(self, name: Reference) -> Descriptor:
        """The document that a name means now."""
        found = self._repository.resolve(name.digest or name.with_default_tag().tag or "")
        if name.digest is not None and found.digest != name.digest:
            raise DataLossError(f"manifest verification failed for digest {name.digest}")
        return found

    def has(self, entry: Descriptor) -> bool:
        """See ``choice.Documents``: a registry has all of an index, or says so when asked."""
        del entry
        return True

    def read(self, entry: Descriptor) -> Manifest | Index:
        """See ``choice.Documents``."""
        digest = entry.name()
        if (known := self._read.get(digest)) is not None:
            return known
        if entry.size > manifest.LARGEST:
            raise InvalidArgumentError(
                f"manifest {digest} has {entry.size} bytes,"
                f" more than the {manifest.LARGEST} allowed"
            )
        self._stores.collector.keep(self._lease, blobs=[digest])
        if self._stores.blobs.find(digest) is not None:
            raw = self._stores.blobs.read(digest, manifest.LARGEST)
        else:
            raw = self._repository.manifest(digest).raw
        document = manifest.parse(raw, entry.media_type)
        if document.digest != digest:
            raise DataLossError(f"manifest verification failed for digest {digest}")
        if entry.size != len(raw):
            raise DataLossError(f"manifest {digest} has {len(raw)} bytes, expected {entry.size}")
        self._count(raw)
        self._read[digest] = document
        faults.point("pull.document")
        return document

    def known(self, digest: Digest) -> Manifest | Index:
        """A document that was read."""
        return self._read[digest]

    def _count(self, raw: bytes) -> None:
        """Bound what an index can make us read that does not say what its entries run on."""
        self._bytes += len(raw)
        if self._bytes > ALL_DOCUMENTS:
            raise InvalidArgumentError(
                f"the image has more than {ALL_DOCUMENTS} bytes of manifests and configs"
            )

    def platform(self, document: Manifest | Index) -> Platform | None:
        """See ``choice.Documents``."""
        if isinstance(document, Index) or document.config.media_type not in IMAGE_CONFIGS:
            return None
        return self.config(document).platform

    def config(self, of: Manifest) -> ConfigFile:
        """The config that a manifest names."""
        entry = of.config
        if entry.media_type not in IMAGE_CONFIGS:
            raise InvalidArgumentError(f"unsupported media type {entry.media_type}")
        digest = entry.name()
        if (known := self._configs.get(digest)) is not None:
            return known
        if entry.size > image_config.LARGEST:
            raise InvalidArgumentError(
                f"config {digest} has {entry.size} bytes, more than the"
                f" {image_config.LARGEST} allowed"
            )
        self._stores.collector.keep(self._lease, blobs=[digest])
        if self._stores.blobs.find(digest) is not None:
            raw = self._stores.blobs.read(digest, image_config.LARGEST)
        else:
            with self._repository.open_blob(entry) as stream:
                raw = _read_all(stream, digest, entry.size)
        self._count(raw)
        file = self._configs[digest] = image_config.parse(raw)
        return file


def _read_all(stream: BinaryIO, digest: Digest, size: int) -> bytes:
    reader = VerifyingReader(stream, digest, size)
    pieces: list[bytes] = []
    left = size + 1
    while left > 0 and (piece := reader.read(min(left, _CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise DataLossError(f"content {digest} has more than the {size} bytes expected")
    return b"".join(pieces)

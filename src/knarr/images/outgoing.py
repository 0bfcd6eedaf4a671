"""What a push sends for an image: its manifest, what that names, and where registries have it.

Law: an image that came with a manifest goes out with that manifest and the very blobs that it
names, so that its digest is the same everywhere. It does not fit any more when a blob of it is
gone; nor when it names a plain tar, unless a registry knows it: such a manifest was made up for an
archive, and layers travel compressed. An index goes out whole when all of it is here.

A new manifest is Docker's schema 2, byte for byte as Docker writes it; only a layer that schema 2
has no type for (zstd) makes it an OCI manifest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from knarr.archive.compression import sniff
from knarr.errors import InvalidArgumentError, KnarrError, NotFoundError
from knarr.oci import image_config, manifest, platform, reference
from knarr.oci.descriptor import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    IMAGE_CONFIGS,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
)
from knarr.oci.digest import DiffID, Digest
from knarr.oci.manifest import Index, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.images.image import Image
    from knarr.images.stores import Stores
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference

_PLAIN = frozenset({OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar"})
_GZIP = OCI_LAYER + "+gzip"
_ZSTD = OCI_LAYER + "+zstd"
_TYPES = {"gzip": _GZIP, "zstd": _ZSTD}
_SKIPPED = ("foreign", "nondistributable")
_DEEPEST = 4


class Piece(NamedTuple):
    """A layer to be sent. ``diff_id`` is its name in progress; None where no config tells it.

    ``descriptor`` None: it has to be compressed first.
    """

    diff_id: DiffID | None
    descriptor: Descriptor | None

    @property
    def label(self) -> str:
        """The twelve digits by which progress names it, Docker's: those of the diff_id."""
        name = self.diff_id or (self.descriptor.digest if self.descriptor else "")
        return name.partition(":")[2][:12]

    @property
    def is_skipped(self) -> bool:
        """Whether it must not be pushed: it stays where its URLs say."""
        kind = self.descriptor.media_type if self.descriptor else ""
        return any(word in kind for word in _SKIPPED)


class Outgoing(NamedTuple):
    """What to send: pieces, lowest layer first; small blobs; then documents, the top one last.

    No documents: a manifest is to be made of the pieces when all of them are compressed.
    """

    pieces: tuple[Piece, ...]
    configs: tuple[Descriptor, ...]
    documents: tuple[Manifest | Index, ...] = ()

    @property
    def digests(self) -> list[Digest]:
        """All blobs that must not go away meanwhile."""
        known = [piece.descriptor for piece in self.pieces if piece.descriptor is not None]
        return [each.name() for each in (*known, *self.configs)] + [
            each.digest for each in self.documents
        ]


class Selector:
    """Finds what to send for images; for one push."""

    def __init__(self, stores: Stores, wanted: Platform | None) -> None:
        self._stores = stores
        self._wanted = wanted

    def of(self, image: Image, name: Reference, target: Digest | None) -> Outgoing:
        """What to send for one name of an image.

        Raises NotFoundError when it is not here for the platform that was asked for.
        """
        document = self.read(target) if target is not None else None
        if isinstance(document, Index):
            found = self._of_index(image, name, document)
            if found is not None:
                return found
        self._check_platform(image, name)
        known = self._known_to_registries()
        candidates = [document] if isinstance(document, Manifest) else []
        candidates += self._own(image)
        for each in candidates:
            if self._fits(each, image) and (each.digest in known or not _has_plain(each, image)):
                return self._single(each)
        return self._made(image)

    def read(self, digest: Digest) -> Manifest | Index | None:
        """A document that is here."""
        if self._stores.blobs.find(digest) is None:
            return None
        return manifest.parse(self._stores.blobs.read(digest, manifest.LARGEST))

    # What is here.

    def _own(self, image: Image) -> list[Manifest]:
        """The manifests that the image came with."""
        found = []
        for digest in self._stores.db.images.manifests(image.id):
            document = self.read(digest)
            if isinstance(document, Manifest):
                found.append(document)
        return found

    def _known_to_registries(self) -> set[Digest]:
        """The documents that are in a registry under their digest."""
        return {
            row.target
            for row in self._stores.db.images.names()
            if "@" in row.name and row.target is not None
        }

    def _fits(self, document: Manifest, image: Image) -> bool:
        return document.config.digest == image.id and self._is_complete(document)

    def _is_complete(self, document: Manifest) -> bool:
        entries = [each for each in document.layers if not Piece(None, each).is_skipped]
        return all(self._has(each.name()) for each in (document.config, *entries))

    def _has(self, digest: Digest) -> bool:
        """Whether it is here as a blob, or as the layer whose diff_id it is."""
        return (
            self._stores.blobs.find(digest) is not None
            or self._stores.layers.find(DiffID(digest)) is not None
        )

    # Manifests and indexes that are sent as they came.

    def _single(self, document: Manifest) -> Outgoing:
        return Outgoing(self._pieces(document), (document.config,), (document,))

    def _pieces(self, document: Manifest) -> tuple[Piece, ...]:
        names: Sequence[DiffID | None] = [None] * len(document.layers)
        if document.config.media_type in IMAGE_CONFIGS:
            try:
                raw = self._stores.blobs.read(document.config.name(), image_config.LARGEST)
                diff_ids = image_config.parse(raw).diff_ids
            except KnarrError:
                diff_ids = ()
            names = diff_ids if len(diff_ids) == len(names) else names
        return tuple(Piece(*pair) for pair in zip(names, document.layers, strict=True))

    def _of_index(self, image: Image, name: Reference, index: Index) -> Outgoing | None:
        """The whole index; else, or for one platform, its manifest; None: it has none here."""
        if self._wanted is None:
            whole = self._whole(index, 0)
            if whole is not None:
                return _merged(whole)
        inner = [
            (entry.platform, document)
            for entry in index.manifests
            if not entry.is_attestation
            and isinstance(document := self.read(entry.name()), Manifest)
            and self._is_complete(document)
        ]
        if self._wanted is None:
            own = [each for _, each in inner if each.config.digest == image.id]
            return self._single(own[0]) if own else None
        position = platform.best([each[0] for each in inner], self._wanted)
        if position is None:
            raise NotFoundError(other_platform(name, image, self._wanted))
        return self._single(inner[position][1])

    def _whole(self, document: Manifest | Index, depth: int) -> list[Outgoing] | None:
        """Everything of a document, the lowest first; None when something is missing."""
        if isinstance(document, Manifest):
            return [self._single(document)] if self._is_complete(document) else None
        found: list[Outgoing] = []
        for entry in document.manifests:
            below = self.read(entry.name()) if depth < _DEEPEST else None
            parts = self._whole(below, depth + 1) if below is not None else None
            if parts is None:
                return None
            found += parts
        return [*found, Outgoing((), (), (document,))]

    # A new manifest.

    def _made(self, image: Image) -> Outgoing:
        """The layers that have to be compressed, and those that were before, for another image."""
        kept = self._kept(image)
        config = Descriptor(media_type=DOCKER_CONFIG, digest=image.id, size=len(image.raw))
        for diff_id in image.layers:
            if self._stores.layers.find(diff_id) is None:
                raise NotFoundError(f"layer {diff_id} of image {image.id} is missing")
        pieces = tuple(Piece(each, kept.get(each)) for each in image.layers)
        return Outgoing(pieces, (config,))

    def _kept(self, image: Image) -> Mapping[DiffID, Descriptor]:
        """Compressed forms of the layers that are here, as manifests of any image name them."""
        wanted = set(image.layers)
        found: dict[DiffID, list[Descriptor]] = {}
        for row in self._stores.db.images.all():
            if not wanted & set(row.layers):
                continue
            for digest in self._stores.db.images.manifests(row.id):
                document = self.read(digest)
                if not isinstance(document, Manifest) or document.config.digest != row.id:
                    continue
                for diff_id, entry in zip(row.layers, document.layers, strict=False):
                    described = self._compressed(entry) if diff_id in wanted else None
                    if described is not None:
                        found.setdefault(diff_id, []).append(described)
        return {
            diff_id: min(each, key=lambda entry: (entry.media_type, entry.digest))
            for diff_id, each in found.items()
        }

    def _compressed(self, entry: Descriptor) -> Descriptor | None:
        """A layer's blob as it may stand in a new manifest; None when it may not."""
        digest = entry.name()
        blob = self._stores.blobs.find(digest)
        if blob is None:
            return None
        with self._stores.blobs.open(digest) as stream:
            kind = _TYPES.get(sniff(stream.read(6)))
        if kind is None:
            return None
        return Descriptor(media_type=kind, digest=digest, size=blob.size)

    def _check_platform(self, image: Image, name: Reference) -> None:
        if self._wanted is not None and platform.best([image.platform], self._wanted) is None:
            raise NotFoundError(other_platform(name, image, self._wanted))


def compressed_layer(digest: Digest, size: int) -> Descriptor:
    """How a layer that was compressed for a push stands in ``Piece``."""
    return Descriptor(media_type=_GZIP, digest=digest, size=size)


def new_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """A manifest over compressed layers; the same input gives the same bytes."""
    if all(each.media_type == _GZIP for each in layers):
        raw = _schema2(config, layers)
        document = manifest.parse(raw, DOCKER_MANIFEST)
    else:
        own = Descriptor(media_type=OCI_CONFIG, digest=config.digest, size=config.size)
        document = manifest.parse(manifest.encode_manifest(own, tuple(layers)), OCI_MANIFEST)
    if not isinstance(document, Manifest):
        raise InvalidArgumentError("the new manifest is no manifest")
    return document


def _schema2(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """Docker indents by three spaces, and orders the keys so: the digest depends on it."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": _entry(DOCKER_CONFIG, config),
        "layers": [_entry(DOCKER_LAYER_GZIP, each) for each in layers],
    }
    return json.dumps(document, indent=3).encode()


def _entry(media_type: str, each: Descriptor) -> dict[str, str | int]:
    return {"mediaType": media_type, "size": each.size, "digest": each.digest}


def sources(selector: Selector, stores: Stores, name: Reference) -> dict[Digest, list[str]]:
    """Other repositories of the registry that have a blob, as earlier pulls and pushes tell.

    Those that share more of the path come first.
    """
    found: dict[Digest, list[str]] = {}
    for row in stores.db.images.names():
        other = reference.parse_canonical(row.name)
        if other.digest is None or other.domain != name.domain or other.path == name.path:
            continue
        for digest in _blobs_below(selector, other.digest, 0):
            paths = found.setdefault(digest, [])
            if other.path not in paths:
                paths.append(other.path)
    for paths in found.values():
        paths.sort(key=lambda path: (-_shared(path, name.path), path))
    return found


def _blobs_below(selector: Selector, digest: Digest, depth: int) -> set[Digest]:
    document = selector.read(digest)
    if isinstance(document, Manifest):
        return {each.name() for each in (document.config, *document.layers)}
    found: set[Digest] = set()
    if document is not None and depth < _DEEPEST:
        for entry in document.manifests:
            found |= _blobs_below(selector, entry.name(), depth + 1)
    return found


def _shared(first: str, second: str) -> int:
    """How many leading parts two paths have in common."""
    count = 0
    for one, other in zip(first.split("/"), second.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count


def _merged(parts: list[Outgoing]) -> Outgoing:
    return Outgoing(
        tuple(piece for each in parts for piece in each.pieces),
        tuple(config for each in parts for config in each.configs),
        tuple(document for each in parts for document in each.documents),
    )


def _has_plain(document: Manifest, image: Image) -> bool:
    plain = set(image.layers)
    return any(each.digest in plain or each.media_type in _PLAIN for each in document.layers)


def other_platform(name: Reference, image: Image, wanted: Platform) -> str:
    """Docker's words for an image that is for another platform."""
    return (
        f"image with reference {name.familiar()} was found but its platform ({image.platform}) "
        f"does not match the specified platform ({wanted})"
    )

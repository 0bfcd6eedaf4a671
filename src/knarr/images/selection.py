"""Which images and names ``save`` means, and which documents and blobs belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.images import naming
from knarr.oci import manifest, platform, reference
from knarr.oci.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor
from knarr.oci.digest import DiffID, Digest
from knarr.oci.manifest import Index, Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.images.catalog import Catalog
    from knarr.images.image import Image
    from knarr.images.stores import Stores
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference


class Chosen(NamedTuple):
    """An image to save, with the tags that go with it and what each of them points to."""

    image: Image
    names: dict[Reference, Digest | None]


class Part(NamedTuple):
    """A piece of the archive: a document in memory, or bytes of a store (``raw`` None)."""

    digest: Digest
    size: int
    raw: bytes | None = None


class Target(NamedTuple):
    """What a name in the archive points to, and the manifest of the image that is used."""

    descriptor: Descriptor
    used: Manifest
    parts: tuple[Part, ...]


def choose(stores: Stores, catalog: Catalog, wanted: Sequence[str]) -> list[Chosen]:
    """The images that the arguments of ``save`` mean, each once, in the order of mention.

    A name without a tag means all tags of its repository. Raises NotFoundError.
    """
    chosen: dict[Digest, Chosen] = {}
    for text in wanted:
        for name, image_id, target in _meant(stores, text):
            entry = chosen.setdefault(image_id, Chosen(catalog.get(image_id), {}))
            if name is not None:
                entry.names[name] = target
    return list(chosen.values())


def _meant(stores: Stores, text: str) -> list[tuple[Reference | None, Digest, Digest | None]]:
    if naming.as_id(text) is None:
        parsed = reference.parse_normalized(text)
        rows = [(reference.parse_canonical(row.name), row) for row in stores.db.images.names()]
        if parsed.is_name_only:
            found: list[tuple[Reference | None, Digest, Digest | None]] = [
                (name, row.image_id, row.target)
                for name, row in rows
                if name.name == parsed.name and name.digest is None
            ]
        else:
            key = naming.key(parsed)
            found = [
                (name if name.digest is None else None, row.image_id, row.target)
                for name, row in rows
                if row.name == key
            ]
        if found:
            return found
    return [(None, naming.find_id(stores, text), None)]


class Targets:
    """Finds or makes the manifests of images."""

    def __init__(self, stores: Stores, wanted: Platform | None) -> None:
        self._stores = stores
        self._wanted = wanted

    def of(self, image: Image, target: Digest | None) -> Target:
        """What to save for one name of an image (``target`` None: for the image alone).

        Raises NotFoundError when it is not for the platform that was asked for.
        """
        document = self._read(target) if target is not None else self._own(image)
        if isinstance(document, Index):
            return self._from_index(image, document)
        self._check_platform(image)
        if document is not None:
            parts = self._complete(document)
            if parts is not None:
                return Target(_descriptor(document), document, parts)
        return self._made(image)

    def _from_index(self, image: Image, index: Index) -> Target:
        """The whole index, or, when a platform was asked for, the one manifest."""
        parts: dict[Digest, Part] = {index.digest: Part(index.digest, len(index.raw), index.raw)}
        used: Manifest | None = None
        inner: list[tuple[Platform | None, Manifest]] = []
        for entry in index.manifests:
            document = self._read(entry.name())
            if document is None:
                continue
            if isinstance(document, Index):
                below = self._from_index(image, document)
                parts |= {part.digest: part for part in below.parts}
                used = used or below.used
                continue
            found = self._present(document)
            parts |= {part.digest: part for part in found}
            if not entry.is_attestation:
                inner.append((entry.platform, document))
            if document.config.digest == image.id and self._complete(document) is not None:
                used = used or document
        if self._wanted is not None:
            return self._single(image, inner, self._wanted)
        if used is None:
            return self._made(image)
        return Target(_descriptor(index), used, tuple(parts.values()))

    def _single(
        self, image: Image, inner: list[tuple[Platform | None, Manifest]], wanted: Platform
    ) -> Target:
        position = platform.best([each[0] for each in inner], wanted)
        parts = self._complete(inner[position][1]) if position is not None else None
        if position is None or parts is None:
            raise NotFoundError(_other_platform(image, wanted))
        document = inner[position][1]
        return Target(_descriptor(document), document, parts)

    def _own(self, image: Image) -> Manifest | None:
        """The manifest that the image came with, of those that were recorded."""
        for digest in self._stores.db.images.manifests(image.id):
            document = self._read(digest)
            if isinstance(document, Manifest) and document.config.digest == image.id:
                return document
        return None

    def _made(self, image: Image) -> Target:
        """A new manifest over uncompressed layers."""
        layers: list[Descriptor] = []
        parts: list[Part] = []
        for diff_id in image.layers:
            info = self._stores.layers.find(diff_id)
            if info is None:
                raise NotFoundError(f"layer {diff_id} of image {image.id} is missing")
            layers.append(Descriptor(media_type=OCI_LAYER, digest=diff_id, size=info.size))
            parts.append(Part(Digest(diff_id), info.size))
        config = Descriptor(media_type=OCI_CONFIG, digest=image.id, size=len(image.raw))
        raw = manifest.encode_manifest(config, tuple(layers))
        document = manifest.parse(raw, OCI_MANIFEST)
        if not isinstance(document, Manifest):
            raise InvalidArgumentError("the new manifest is no manifest")
        parts.append(Part(image.id, len(image.raw), image.raw))
        parts.append(Part(document.digest, len(raw), raw))
        return Target(_descriptor(document), document, tuple(parts))

    def _complete(self, document: Manifest) -> tuple[Part, ...] | None:
        """All parts of a manifest, or None when one is missing."""
        parts = self._present(document)
        wanted = {
            document.digest,
            document.config.digest,
            *(each.digest for each in document.layers),
        }
        return parts if {part.digest for part in parts} == wanted else None

    def _present(self, document: Manifest) -> tuple[Part, ...]:
        """A manifest and those of its blobs that are here, as blobs or as layers."""
        parts = [Part(document.digest, len(document.raw), document.raw)]
        for entry in (document.config, *document.layers):
            digest = entry.name()
            blob = self._stores.blobs.find(digest)
            size = blob.size if blob is not None else None
            if size is None:
                layer = self._stores.layers.find(DiffID(digest))
                size = layer.size if layer is not None else None
            if size is not None:
                parts.append(Part(digest, size))
        return tuple(parts)

    def _read(self, digest: Digest) -> Manifest | Index | None:
        if self._stores.blobs.find(digest) is None:
            return None
        return manifest.parse(self._stores.blobs.read(digest, manifest.LARGEST))

    def _check_platform(self, image: Image) -> None:
        if self._wanted is not None and platform.best([image.platform], self._wanted) is None:
            raise NotFoundError(_other_platform(image, self._wanted))


def _descriptor(document: Manifest | Index) -> Descriptor:
    return Descriptor(
        media_type=document.media_type, digest=document.digest, size=len(document.raw)
    )


def _other_platform(image: Image, wanted: Platform) -> str:
    name = next(iter(image.tags()), image.id)
    return (
        f"image with reference {name} was found but its platform ({image.platform}) "
        f"does not match the specified platform ({wanted})"
    )

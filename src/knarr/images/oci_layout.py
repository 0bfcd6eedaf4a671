"""OCI layouts in an archive: ``index.json``, ``oci-layout``, ``blobs/``.

Law: an index is kept whole: every manifest of it that is in the archive is kept with its blobs, so
that ``save`` gives it back. The image that is used is the one that runs best on the platform that
was asked for.

Sources: OCI image-spec image-layout.md; the annotations by which Docker, podman and skopeo name
images in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.archive.failure import BadArchiveError
from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError
from knarr.images.choice import choose, no_match
from knarr.images.intake import blob_path
from knarr.images.plan import Found
from knarr.oci import image_config, manifest, platform, reference
from knarr.oci.descriptor import (
    CONTAINERD_NAME_ANNOTATION,
    IMAGE_CONFIGS,
    NAME_ANNOTATION,
    Descriptor,
)
from knarr.oci.manifest import Index, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.images.choice import Wish
    from knarr.images.intake import Archive, Stored
    from knarr.images.plan import Plan
    from knarr.oci.digest import Digest
    from knarr.oci.image_config import ConfigFile
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference

INDEX = "index.json"

_MOST_MANIFESTS = 10_000


def plan(
    archive: Archive, wish: Wish, names: Mapping[Digest, tuple[Reference, ...]], into: Plan
) -> None:
    """Add all images of ``index.json``.

    ``names`` are those that ``manifest.json`` gives to configs; they come on top of what the
    annotations of the index say. Raises BadArchiveError, InvalidArgumentError, NotFoundError.
    """
    top = manifest.parse(archive.document(INDEX) or b"")
    if not isinstance(top, Index):
        raise InvalidArgumentError("invalid index.json: it is no index")
    if len(top.manifests) > _MOST_MANIFESTS:
        raise InvalidArgumentError(f"index.json has more than {_MOST_MANIFESTS} entries")
    layout = _Layout(archive, wish, into)
    named: dict[Digest, list[Reference]] = {}
    entries: dict[Digest, Descriptor] = {}
    for entry in top.manifests:
        if not entry.is_attestation:
            entries.setdefault(entry.name(), entry)
            named.setdefault(entry.name(), []).extend(_names(entry))
    for digest, entry in entries.items():
        layout.add(entry, named[digest], names)


class _Layout:
    def __init__(self, archive: Archive, wish: Wish, into: Plan) -> None:
        self._archive = archive
        self._wish = wish
        self._into = into
        self._kept: set[Digest] = set()

    def add(
        self,
        entry: Descriptor,
        own: list[Reference],
        names: Mapping[Digest, tuple[Reference, ...]],
    ) -> None:
        """Add the image behind one entry of ``index.json``."""
        document = self.read(entry)
        chosen, path = self._choose(document)
        if chosen.config.media_type not in IMAGE_CONFIGS:
            raise InvalidArgumentError(
                f'{chosen.digest} is no image: its config is "{chosen.config.media_type}"'
            )
        file = self._config(chosen)
        layers = [self._layer(each) for each in chosen.layers]
        every = tuple(dict.fromkeys([*own, *names.get(file.digest, ())]))
        self._into.add_image(Found(file, every, path, document.digest), layers)
        self._keep(document)

    def _choose(self, document: Manifest | Index) -> tuple[Manifest, tuple[Digest, ...]]:
        """The manifest to use, and the digests of the documents that lead to it."""
        chosen, path = choose(document, self._wish, self)
        if self._wish.strict and not self._fits(chosen):
            raise NotFoundError(no_match(self._wish.platform))
        return chosen, path

    def has(self, entry: Descriptor) -> bool:
        """See ``choice.Documents``."""
        return self._archive.document(blob_path(entry.name())) is not None

    def read(self, entry: Descriptor) -> Manifest | Index:
        """See ``choice.Documents``."""
        found = self._find(entry)
        if found is None:
            raise BadArchiveError(f"the manifest {entry.digest} is not in the archive")
        return found

    def platform(self, document: Manifest | Index) -> Platform | None:
        """See ``choice.Documents``: what the config of a manifest says."""
        if isinstance(document, Index) or document.config.media_type not in IMAGE_CONFIGS:
            return None
        return self._config(document).platform

    def _fits(self, document: Manifest) -> bool:
        return platform.best([self.platform(document)], self._wish.platform) is not None

    def _find(self, entry: Descriptor) -> Manifest | Index | None:
        """The document of an entry, or None when it is not in the archive (a sparse index)."""
        raw = self._archive.document(blob_path(entry.name()))
        if raw is None:
            return None
        _check_size(entry, len(raw))
        return manifest.parse(raw, entry.media_type)

    def _config(self, of: Manifest) -> ConfigFile:
        raw = self._archive.document(blob_path(of.config.name()))
        if raw is None:
            raise BadArchiveError(f"the config {of.config.digest} is not in the archive")
        _check_size(of.config, len(raw))
        return image_config.parse(raw)

    def _layer(self, entry: Descriptor) -> Stored:
        stored = self._archive.file(blob_path(entry.name()))
        if stored is None:
            raise BadArchiveError(f"the layer {entry.digest} is not in the archive")
        _check_size(entry, stored.size)
        return stored

    def _keep(self, document: Manifest | Index) -> None:
        """Keep a document and everything below it that the archive has."""
        if document.digest in self._kept:
            return
        self._kept.add(document.digest)
        self._into.add_document(document.digest, document.raw)
        self._into.add_edges(document.edges())
        if isinstance(document, Index):
            for entry in document.manifests:
                found = self._find(entry)
                if found is not None:
                    self._keep(found)
            return
        for entry in (document.config, *document.layers):
            path = blob_path(entry.name())
            raw, stored = self._archive.document(path), self._archive.file(path)
            if raw is not None:
                self._into.add_document(entry.name(), raw)
            elif stored is not None:
                self._into.add_file(stored)


def _names(entry: Descriptor) -> list[Reference]:
    """The names that the annotations of an entry give.

    ``ref.name`` is a whole reference when podman or skopeo wrote it, but only a tag elsewhere: a
    lone word is no name.
    """
    annotations = entry.annotations or {}
    text = annotations.get(CONTAINERD_NAME_ANNOTATION) or annotations.get(NAME_ANNOTATION) or ""
    if CONTAINERD_NAME_ANNOTATION not in annotations and not any(c in text for c in ":/"):
        return []
    name = reference.parse_normalized(text)
    return [name.with_default_tag()] if name.digest is None else []


def _check_size(entry: Descriptor, size: int) -> None:
    if entry.size != size:
        raise DataLossError(f"blob {entry.digest} has {size} bytes, expected {entry.size}")

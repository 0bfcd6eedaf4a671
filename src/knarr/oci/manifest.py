"""Manifests and indexes, OCI's and Docker's.

Law: ``raw`` is what was received and what ``digest`` is of; the other fields are a view. A
document is read as what it is: one that could be taken for both a manifest and an index is refused
(CVE-2021-41190), and so is a media type in it that differs from the one it was named with.

Sources: OCI image-spec manifest.md and image-index.md; Docker image manifest v2, schema 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.oci import digest as digests
from knarr.oci.descriptor import (
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)

if TYPE_CHECKING:
    from knarr.oci.digest import Digest

LARGEST = 4 << 20
"""The most bytes of a manifest or an index, as registries limit it."""


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    media_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    fs_layers: object = None


class Manifest(NamedTuple):
    """One image (or artifact) for one platform; layers stand lowest first."""

    raw: bytes
    digest: Digest
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    def edges(self) -> list[tuple[Digest, Digest]]:
        """This manifest and each blob that it names."""
        return [(self.digest, each.name()) for each in (self.config, *self.layers)]


class Index(NamedTuple):
    """Manifests for several platforms, or the table of contents of an OCI layout."""

    raw: bytes
    digest: Digest
    media_type: str
    manifests: tuple[Descriptor, ...]

    def edges(self) -> list[tuple[Digest, Digest]]:
        """This index and each document that it names."""
        return [(self.digest, each.name()) for each in self.manifests]


_DECODER = msgspec.json.Decoder(_Document)


def parse(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index; ``media_type`` is what it was named with, if known.

    Raises InvalidArgumentError for what is neither, UnimplementedError for Docker's schema 1.
    """
    document = _decode(raw)
    if media_type and document.media_type and media_type != document.media_type:
        raise InvalidArgumentError(
            f'manifest says it is "{document.media_type}", but was named as "{media_type}"'
        )
    kind = document.media_type or media_type
    is_index = document.manifests is not None
    if kind in (MANIFESTS if is_index else INDEXES):
        raise InvalidArgumentError(f'invalid manifest: it is not of its type "{kind}"')
    digest = digests.of_bytes(raw)
    if document.manifests is not None:
        return Index(raw, digest, kind or OCI_INDEX, tuple(document.manifests))
    if document.config is None:
        raise InvalidArgumentError("invalid manifest: it names neither a config nor manifests")
    layers = tuple(document.layers or ())
    return Manifest(raw, digest, kind or OCI_MANIFEST, document.config, layers)


def _decode(raw: bytes) -> _Document:
    if len(raw) > LARGEST:
        raise InvalidArgumentError(
            f"invalid manifest: {len(raw)} bytes, more than the {LARGEST} allowed"
        )
    try:
        document = _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid manifest: {error}") from error
    if document.schema_version == 1 or document.fs_layers is not None:
        raise UnimplementedError(
            "manifest schema version 1 is not supported",
            hint=f"the image must be pushed again as {DOCKER_MANIFEST} or {OCI_MANIFEST}",
        )
    if document.schema_version != 2:
        raise InvalidArgumentError(
            f"invalid manifest: unknown schema version {document.schema_version}"
        )
    if document.manifests is not None and (
        document.layers is not None or document.config is not None
    ):
        raise InvalidArgumentError("invalid manifest: it has both manifests and layers or config")
    return document


def encode_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> bytes:
    """The bytes of a new OCI manifest; the same input gives the same bytes."""
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config,
            "layers": layers,
        }
    )


def encode_index(manifests: tuple[Descriptor, ...]) -> bytes:
    """The bytes of a new OCI index; the same input gives the same bytes."""
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})

"""Descriptors: media type, digest and size of a blob, as one document names another.

Sources: OCI image-spec descriptor.md and media-types.md; Docker image manifest v2 schema 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from knarr.oci import digest as digests
from knarr.oci.platform import Platform

if TYPE_CHECKING:
    from knarr.oci.digest import Digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

NAME_ANNOTATION = "org.opencontainers.image.ref.name"
"""On an entry of an OCI layout's index: its name there, a tag or a whole reference."""

CONTAINERD_NAME_ANNOTATION = "io.containerd.image.name"
"""On the same entry, by Docker and containerd: the whole reference."""

REFERENCE_TYPE_ANNOTATION = "vnd.docker.reference.type"
"""On an entry of an index that is no image but belongs to one (BuildKit's attestations)."""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A blob, named by another document. ``size`` is bytes."""

    media_type: str = ""
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    annotations: dict[str, str] | None = None
    platform: Platform | None = None
    urls: list[str] | None = None
    artifact_type: str = ""

    def name(self) -> Digest:
        """The checked digest; raises InvalidArgumentError."""
        return digests.parse_stored(self.digest)

    @property
    def is_attestation(self) -> bool:
        """True for an entry that must never be chosen as an image."""
        return REFERENCE_TYPE_ANNOTATION in (self.annotations or {})

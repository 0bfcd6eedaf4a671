"""Which manifest of an index is the image to use, wherever its documents come from.

Law: the one that runs best on the platform that was asked for. Entries that belong to an image and
are none (attestations) are never taken, and not even looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.archive.failure import BadArchiveError
from knarr.errors import NotFoundError
from knarr.oci import platform
from knarr.oci.manifest import Index, Manifest

if TYPE_CHECKING:
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.platform import Platform

_DEEPEST = 4


class Wish(NamedTuple):
    """Which manifest to take from an index; ``strict``: no other platform will do."""

    platform: Platform
    strict: bool


class Documents(Protocol):
    """Where manifests and indexes come from."""

    def has(self, entry: Descriptor) -> bool:
        """Whether the document of an entry can be read (an index may be sparse)."""

    def read(self, entry: Descriptor) -> Manifest | Index:
        """The document of an entry."""

    def platform(self, document: Manifest | Index) -> Platform | None:
        """What the document runs on, asked where the index does not say it."""


def choose(
    document: Manifest | Index, wish: Wish, documents: Documents
) -> tuple[Manifest, tuple[Digest, ...]]:
    """The manifest to use, and the digests of the documents that lead to it, itself the last.

    Of a lone manifest the platform is not checked. Raises NotFoundError in Docker's words when no
    entry fits.
    """
    path: list[Digest] = []
    while isinstance(document, Index):
        path.append(document.digest)
        if len(path) > _DEEPEST:
            raise BadArchiveError(f"{path[0]} has more than {_DEEPEST} indexes in each other")
        document = documents.read(_best(document, wish, documents))
    return document, (*path, document.digest)


def _best(index: Index, wish: Wish, documents: Documents) -> Descriptor:
    candidates = [
        entry for entry in index.manifests if not entry.is_attestation and documents.has(entry)
    ]
    platforms = [
        entry.platform or documents.platform(documents.read(entry)) for entry in candidates
    ]
    position = platform.best(platforms, wish.platform)
    if position is None and len(candidates) == 1 and not wish.strict:
        position = 0
    if position is None:
        raise NotFoundError(no_match(wish.platform))
    return candidates[position]


def no_match(wanted: Platform) -> str:
    """Docker's words for an index without this platform."""
    return f"no matching manifest for {wanted} in the manifest list entries"

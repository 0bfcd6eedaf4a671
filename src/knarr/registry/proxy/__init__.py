"""A cache of other registries: repositories that are filled from elsewhere when they are asked for.

What is named by a digest is asked for once and kept. What a tag names is asked for again when it
is older than a time that the administrator chose; when the upstream is overloaded or away, what is
known goes on being served. Nothing is kept or served in full that is not what its digest says.

``Upstream`` is the border to the other registry: who puts the program together hands it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from knarr.oci.digest import Digest

__all__ = ["Upstream", "UpstreamManifest"]


class UpstreamManifest(NamedTuple):
    """A manifest or index as the upstream sent it."""

    digest: Digest
    media_type: str
    raw: bytes


class Upstream(Protocol):
    """Another registry, by the names that repositories have there.

    Methods block and may be called from several threads. They raise ``NotFoundError`` for what is
    not there, ``UnavailableError`` and ``ResourceExhaustedError`` ("too many requests") when asking
    later may help, other ``KnarrError`` for the rest.
    """

    def resolve(self, repository: str, tag: str) -> Digest:
        """The digest that a tag means now."""

    def manifest(self, repository: str, digest: Digest) -> UpstreamManifest:
        """A manifest by its digest."""

    def blob_size(self, repository: str, digest: Digest) -> int:
        """The bytes of a blob."""

    def open_blob(
        self, repository: str, digest: Digest, size: int
    ) -> AbstractContextManager[BinaryIO]:
        """A blob of ``size`` bytes to read; goes on by itself after a dropped connection."""

    def tags(self, repository: str) -> Iterator[str]:
        """All tags."""

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> bytes:
        """The index of what belongs to a manifest."""

    def close(self) -> None:
        """End all connections; what is under way fails."""

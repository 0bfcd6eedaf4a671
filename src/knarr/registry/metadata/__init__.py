"""What a registry remembers besides bytes: repositories, tags, manifests, and who has which blob.

Laws: a method is one transaction; when a writing one returns, it survives a power cut. A blob is
recorded after its bytes are stored, and forgotten before they are deleted. A repository exists
from its first push until it is deleted, also when it has become empty. Methods block and may be
called from several threads, and by several servers over one database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.oci.digest import Digest

__all__ = ["ManifestRow", "Metadata", "NewManifest", "Referrer", "UploadRow"]


class ManifestRow(NamedTuple):
    """A manifest of a repository: the bytes that were pushed, and their media type."""

    digest: Digest
    media_type: str
    raw: bytes


class NewManifest(NamedTuple):
    """A manifest to record.

    ``blobs`` and ``manifests`` are what it refers to in its repository; ``subject`` is the manifest
    that it belongs to, ``artifact_type`` and ``annotations`` are what the list of referrers shows.
    """

    row: ManifestRow
    blobs: Sequence[Digest] = ()
    manifests: Sequence[Digest] = ()
    subject: Digest | None = None
    artifact_type: str = ""
    annotations: str = "{}"


class Referrer(NamedTuple):
    """A manifest that belongs to another one; ``annotations`` is a JSON object."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str
    annotations: str


class UploadRow(NamedTuple):
    """An upload under way: its repository, and since when (seconds since 1970)."""

    id: str
    repository: str
    started: float


class Metadata(Protocol):
    """A database of one registry."""

    #: Whether a read takes so little that an event loop may wait for it.
    quick: bool

    def repositories(self, last: str, limit: int) -> list[str]:
        """Names after ``last`` in lexical order, ``limit`` at most."""

    def has_repository(self, name: str) -> bool:
        """Whether anything was ever pushed there."""

    def delete_repository(self, name: str) -> bool:
        """Forget a repository with its tags, manifests and blobs; False when it is not there."""

    def rename_repository(self, name: str, new: str) -> None:
        """Raises NotFoundError, AlreadyExistsError."""

    def add_blob(self, repository: str, digest: Digest, size: int) -> None:
        """The blob is stored and belongs to the repository, which is made if need be."""

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The bytes of a blob of the repository, None when it has none such."""

    def missing_blobs(self, repository: str, digests: Sequence[Digest]) -> list[Digest]:
        """Those that the repository does not have."""

    def repositories_with(self, digest: Digest, limit: int) -> list[str]:
        """Names of repositories that have the blob."""

    def remove_blob(self, repository: str, digest: Digest) -> bool:
        """Take a blob away from a repository; False when it has none such."""

    def put_manifest(self, repository: str, new: NewManifest, tags: Iterable[str]) -> None:
        """Record a manifest and let ``tags`` name it."""

    def manifest(self, repository: str, digest: Digest) -> ManifestRow | None:
        """A manifest of the repository."""

    def missing_manifests(self, repository: str, digests: Sequence[Digest]) -> list[Digest]:
        """Those that the repository does not have."""

    def remove_manifest(self, repository: str, digest: Digest) -> list[str] | None:
        """Take a manifest away with its tags, which are returned; None when it was not there."""

    def tag(self, repository: str, name: str) -> Digest | None:
        """What a tag names."""

    def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """Tags after ``last`` in lexical order, ``limit`` at most."""

    def remove_tag(self, repository: str, name: str) -> bool:
        """Forget a tag; False when it is not there."""

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> list[Referrer]:
        """Manifests that belong to ``subject``, in the order of their digests."""

    def add_upload(self, upload: UploadRow) -> None:
        """An upload has begun."""

    def upload(self, upload: str) -> UploadRow | None:
        """An upload under way."""

    def remove_upload(self, upload: str) -> None:
        """An upload has ended; an unknown one is a success."""

    def close(self) -> None:
        """Give up the database."""

"""What a registry remembers besides bytes: repositories, tags, manifests, and who has which blob.

Laws: a method is one transaction; when a writing one returns, it survives a power cut. A blob is
recorded after its bytes are stored, and forgotten before they are deleted. A repository exists
from its first push until it is deleted, also when it has become empty. Methods block and may be
called from several threads, and by several servers over one database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from knarr.oci.digest import Digest

__all__ = ["ManifestRow", "Metadata", "NewManifest", "Referrer", "TagRow", "UploadRow"]


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


class TagRow(NamedTuple):
    """A tag: what it names, and when it last changed (seconds since 1970)."""

    name: str
    digest: Digest
    changed: float


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

    def publish_blob(
        self, repository: str, digest: Digest, store: Callable[[], int], quota: int | None = None
    ) -> int:
        """Call ``store``, which makes bytes a stored blob and gives their number, and record it.

        Both in one transaction that no ``drop_blob`` of the digest runs beside. The repository is
        made if need be. Raises ResourceExhaustedError when the repository would have more than
        ``quota`` bytes; nothing is recorded then. Returns the number of bytes.
        """

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """Let a repository have a blob that ``source`` has; False when that has none such."""

    def touch_blobs(self, repository: str, digests: Sequence[Digest]) -> None:
        """Note that a push has asked for them: they are young again."""

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """The bytes of a blob of the repository, None when it has none such."""

    def repositories_with(self, digest: Digest, limit: int) -> list[str]:
        """Names of repositories that have the blob."""

    def remove_blob(self, repository: str, digest: Digest) -> bool:
        """Take a blob away from a repository; False when it has none such."""

    def put_manifest(
        self, repository: str, new: NewManifest, tags: Iterable[str], *, is_whole: bool = True
    ) -> list[Digest]:
        """Record a manifest and let ``tags`` name it; what it refers to and is not there.

        When anything is missing, nothing is recorded. One that is not ``is_whole`` may come before
        what it refers to (a cache is filled so); nothing is missing then.
        """

    def manifest(self, repository: str, digest: Digest) -> ManifestRow | None:
        """A manifest of the repository."""

    def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Whether the repository has a manifest."""

    def remove_manifest(self, repository: str, digest: Digest) -> list[str] | None:
        """Take a manifest away with its tags, which are returned; None when it was not there."""

    def tag(self, repository: str, name: str) -> Digest | None:
        """What a tag names."""

    def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """Tags after ``last`` in lexical order, ``limit`` at most."""

    def tag_rows(self, repository: str) -> list[TagRow]:
        """All tags of a repository."""

    def put_tag(self, repository: str, name: str, digest: Digest) -> bool:
        """Let a tag name a manifest of the repository; False when it has none such."""

    def remove_tag(self, repository: str, name: str, changed: float | None = None) -> bool:
        """Forget a tag; False when it is not there, or was changed at another time than given."""

    def untagged_manifests(self, repository: str, before: float) -> list[Digest]:
        """Manifests that nothing leads to and that were not pushed since ``before``.

        Nothing is a tag, an index of the repository, or a manifest there that they belong to.
        """

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> list[Referrer]:
        """Manifests that belong to ``subject``, in the order of their digests."""

    def add_upload(self, upload: UploadRow) -> None:
        """An upload has begun."""

    def upload(self, upload: str) -> UploadRow | None:
        """An upload under way."""

    def remove_upload(self, upload: str) -> None:
        """An upload has ended; an unknown one is a success."""

    def uploads(self) -> list[UploadRow]:
        """All uploads under way."""

    def forget_unused(self, before: float) -> int:
        """Take from repositories the blobs that no manifest there refers to; how many.

        Only those that no push has made, mounted or asked for since ``before`` (seconds since
        1970). Manifests that no repository has are forgotten too.
        """

    def unowned_blobs(self, before: float, limit: int) -> list[Digest]:
        """Blobs that no repository has, and that were not used since ``before``."""

    def drop_blob(self, digest: Digest, before: float, delete: Callable[[], None]) -> bool:
        """Call ``delete`` for the bytes of a blob and forget it, if it is (still) unowned.

        Also for a digest that is not recorded at all. False when it is owned or was used since
        ``before``; ``delete`` was not called then.
        """

    def known_blobs(self, digests: Sequence[Digest]) -> set[Digest]:
        """Those that are recorded."""

    def repository_size(self, repository: str) -> int:
        """The bytes of all its blobs together."""

    def close(self) -> None:
        """Give up the database."""

"""What pushing, pulling and deleting mean: no HTTP, no SQL, no files.

Order of a push: blobs first, each recorded in its repository when its bytes are stored and
verified; then the manifest, which is refused when it refers to what the repository does not have.
A delete takes content out of one repository. Its bytes go when no repository has it any more and
no push can be about to refer to it: see ``upkeep``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import AlreadyExistsError, NotFoundError, ResourceExhaustedError
from knarr.registry import manifests, names, refusals
from knarr.registry.refusals import RefusedError
from knarr.registry.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.oci.digest import Digest
    from knarr.registry.metadata import ManifestRow, Metadata, Referrer
    from knarr.registry.storage import Driver
    from knarr.registry.uploads import Upload

LARGEST_BLOB = 1 << 40
_MOST_CANDIDATES = 32


class Pushed(NamedTuple):
    """A manifest that was taken in: its digest, and the one that it belongs to."""

    digest: Digest
    subject: Digest | None


class Rules:
    """The repositories of one registry. Everything blocks and may be called from any thread."""

    def __init__(
        self,
        driver: Driver,
        metadata: Metadata,
        *,
        largest_blob: int = LARGEST_BLOB,
        quota: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self.driver = driver
        self.metadata = metadata
        self.uploads = Uploads(driver, metadata, largest_blob)
        self._quota = quota

    def finish_upload(self, upload: Upload, digest: Digest) -> None:
        """Make an upload a blob of its repository; a wrong digest drops it."""
        if upload.digest(names.algorithm(digest)) != digest:
            self.uploads.abort(upload)
            raise RefusedError(refusals.DIGEST_INVALID, {"digest": digest})
        repository = upload.row.repository
        quota = self._quota(repository)
        if quota is not None and self._would_have(repository, digest, upload.size) > quota:
            self.uploads.abort(upload)
            raise _full(repository, quota)
        upload.sync()  # the long part, before others have to wait

        def store() -> int:
            return self.driver.finish(upload.id, digest)

        try:
            self.metadata.publish_blob(repository, digest, store, quota)
        except ResourceExhaustedError:
            self.uploads.end(upload)  # two at once; the bytes are garbage and will be collected
            raise _full(repository, quota or 0) from None
        self.uploads.end(upload)

    def _would_have(self, repository: str, digest: Digest, size: int) -> int:
        """The bytes of a repository with one more blob, unless it has that already."""
        more = 0 if self.metadata.blob_size(repository, digest) is not None else size
        return self.metadata.repository_size(repository) + more

    def touch(self, repository: str, digest: Digest) -> None:
        """A push has found this blob and may be about to refer to it."""
        self.metadata.touch_blobs(repository, [digest])

    def mount(
        self, repository: str, digest: Digest, source: str, may_read: Callable[[str], bool]
    ) -> bool:
        """Let a repository have a blob of ``source``, or of any that the caller may read.

        False when there is none such: the caller uploads it instead.
        """
        candidates = (
            [source] if source else self.metadata.repositories_with(digest, _MOST_CANDIDATES)
        )
        return any(
            may_read(candidate) and self.metadata.mount_blob(repository, digest, candidate)
            for candidate in candidates
        )

    def blob_size(self, repository: str, digest: Digest) -> int:
        """The bytes of a blob. Raises ``RefusedError``."""
        size = self.metadata.blob_size(repository, digest)
        if size is None:
            raise self._unknown(repository, refusals.BLOB_UNKNOWN, digest)
        return size

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Take a blob out of a repository. Raises ``RefusedError``."""
        if not self.metadata.remove_blob(repository, digest):
            raise self._unknown(repository, refusals.BLOB_UNKNOWN, digest)

    def put_manifest(
        self,
        repository: str,
        reference: str,
        raw: bytes,
        media_type: str,
        tags: Sequence[str] = (),
    ) -> Pushed:
        """Take a manifest in, under a tag or its digest, and under further ``tags``."""
        if names.is_digest(reference):
            digest = names.digest(reference)
            if names.of_bytes(raw, names.algorithm(digest)) != digest:
                raise RefusedError(refusals.DIGEST_INVALID, {"digest": digest})
        else:
            tags = [names.tag(reference), *tags]
            digest = names.of_bytes(raw, names.ALGORITHMS[0])
        new = manifests.read(raw, media_type, digest)
        missing = self.metadata.put_manifest(repository, new, [names.tag(tag) for tag in tags])
        if missing:
            raise RefusedError(refusals.MANIFEST_BLOB_UNKNOWN, [{"digest": m} for m in missing])
        return Pushed(digest, new.subject)

    def manifest(self, repository: str, reference: str) -> ManifestRow:
        """The manifest that a tag or digest names. Raises ``RefusedError``."""
        found = self.metadata.manifest(repository, self.resolve(repository, reference))
        if found is None:
            raise self._unknown(repository, refusals.MANIFEST_UNKNOWN, reference)
        return found

    def resolve(self, repository: str, reference: str) -> Digest:
        """The digest that a reference means. Raises ``RefusedError``."""
        if names.is_digest(reference):
            return names.digest(reference)
        digest = self.metadata.tag(repository, names.tag(reference))
        if digest is None:
            raise self._unknown(repository, refusals.MANIFEST_UNKNOWN, reference)
        return digest

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Take away a tag, or a manifest with all tags that name it. Raises ``RefusedError``."""
        if names.is_digest(reference):
            gone = self.metadata.remove_manifest(repository, names.digest(reference)) is not None
        else:
            gone = self.metadata.remove_tag(repository, names.tag(reference))
        if not gone:
            raise self._unknown(repository, refusals.MANIFEST_UNKNOWN, reference)

    def retag(self, repository: str, reference: str, tag: str) -> Digest:
        """Let a tag name what another reference names. Raises ``RefusedError``."""
        digest = self.resolve(repository, reference)
        if not self.metadata.put_tag(repository, names.tag(tag), digest):
            raise self._unknown(repository, refusals.MANIFEST_UNKNOWN, reference)
        return digest

    def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """Tags after ``last``. Raises ``RefusedError`` for a repository that is not there."""
        found = self.metadata.tags(repository, last, limit)
        if not found and not self.metadata.has_repository(repository):
            raise RefusedError(refusals.NAME_UNKNOWN, {"name": repository})
        return found

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> list[Referrer]:
        """What belongs to a manifest, which itself need not be there."""
        return self.metadata.referrers(repository, subject, artifact_type)

    def delete_repository(self, repository: str) -> None:
        """Forget a repository with all that it has. Raises ``RefusedError``."""
        if not self.metadata.delete_repository(repository):
            raise RefusedError(refusals.NAME_UNKNOWN, {"name": repository})

    def rename_repository(self, repository: str, new: str) -> None:
        """Give a repository another name. Raises ``RefusedError``."""
        try:
            self.metadata.rename_repository(repository, names.repository(new))
        except NotFoundError:
            raise RefusedError(refusals.NAME_UNKNOWN, {"name": repository}) from None
        except AlreadyExistsError:
            raise RefusedError(refusals.NAME_TAKEN, {"name": new}) from None

    def _unknown(self, repository: str, code: refusals.Code, what: str) -> RefusedError:
        if not self.metadata.has_repository(repository):
            return RefusedError(refusals.NAME_UNKNOWN, {"name": repository})
        return RefusedError(code, {"name": repository, "reference": what})


def _full(repository: str, quota: int) -> RefusedError:
    return RefusedError(
        refusals.DENIED,
        {"name": repository, "quota": quota},
        message=f"repository {repository} may have {quota} bytes and would have more",
    )

"""The blob store on disk.

::

    <root>/                   <data-root>/content
      blobs/sha256/<hex>      complete, read-only, never changed
      ingest/<uuid>           staged; left over ones are deleted by recover()
      ingest/<hex>.partial    the beginning of a blob that is fetched; see ``partial``

Crash rule: a blob is written to ``ingest``, fsynced, renamed to ``blobs`` and the directory is
fsynced. A kill at any moment leaves either nothing under ``blobs`` or the whole blob. No locks are
needed: names are unique or are the digest of the bytes, and renaming over an equal blob is
harmless.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from knarr.content.failure import translated
from knarr.content.partial import SUFFIX, PartialBlobs
from knarr.content.writer import Writer
from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError
from knarr.oci import digest as digests
from knarr.oci.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path


class BlobInfo(NamedTuple):
    """A blob that is there, and its size in bytes."""

    digest: Digest
    size: int


class BlobStore:
    """Blobs below one directory; safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"
        with translated(f'open content store "{root}"'):
            for directory in (self._blobs, self._ingest):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.partial = PartialBlobs(self._blobs, self._ingest)

    def ingest(self, *, limit: int | None = None) -> Writer:
        """Begin a blob of at most ``limit`` bytes."""
        return Writer(self._blobs, self._ingest, limit=limit)

    def put(self, data: bytes) -> Digest:
        """Store ``data`` as a blob and return its digest; already there is success."""
        digest = digests.of_bytes(data)
        if self.find(digest) is None:
            with self.ingest() as writer:
                writer.write(data)
                writer.commit(len(data), digest)
        return digest

    def find(self, digest: Digest) -> BlobInfo | None:
        """The blob, or None when it is not there."""
        with translated(f"look for blob {digest}"):
            try:
                return BlobInfo(digest, self._path(digest).stat().st_size)
            except FileNotFoundError:
                return None

    def info(self, digest: Digest) -> BlobInfo:
        """The blob; raises NotFoundError."""
        found = self.find(digest)
        if found is None:
            raise NotFoundError(f"content {digest}: not found")
        return found

    def open(self, digest: Digest) -> BinaryIO:
        """The blob for reading, unchecked (see VerifyingReader); the caller closes it.

        Raises NotFoundError.
        """
        self.info(digest)
        with translated(f"open blob {digest}"):
            return self._path(digest).open("rb")

    def read(self, digest: Digest, limit: int) -> bytes:
        """All bytes, checked against the digest.

        Raises NotFoundError, InvalidArgumentError over ``limit`` bytes, DataLossError when the
        bytes on disk changed.
        """
        size = self.info(digest).size
        if size > limit:
            raise InvalidArgumentError(
                f"content {digest} has {size} bytes, more than the {limit} allowed here"
            )
        with translated(f"read blob {digest}"):
            data = self._path(digest).read_bytes()
        if digests.of_bytes(data) != digest:
            raise DataLossError(f"content {digest} is damaged on disk")
        return data

    def delete(self, digest: Digest) -> None:
        """Forget the blob; not there is success."""
        with translated(f"delete blob {digest}"):
            self._path(digest).unlink(missing_ok=True)

    def all(self) -> list[BlobInfo]:
        """Every blob, in no order; names that are no digest are left out."""
        found = []
        with translated("list blobs"), os.scandir(self._blobs) as entries:
            for entry in entries:
                if len(entry.name) == 64:
                    digest = Digest("sha256:" + entry.name)
                    found.append(BlobInfo(digest, entry.stat(follow_symlinks=False).st_size))
        return found

    def free_bytes(self) -> int:
        """How much the disk has room for."""
        with translated("look at the disk"):
            found = os.statvfs(self._ingest)
        return found.f_bavail * found.f_frsize

    def recover(self) -> int:
        """Delete what a killed process left staged; returns how many files.

        Partial blobs stay as long as they are fresh. Only for the start of an engine, when nothing
        is being ingested.
        """
        count = 0
        with translated("recover content store"), os.scandir(self._ingest) as entries:
            for entry in entries:
                if not entry.name.endswith(SUFFIX):
                    (self._ingest / entry.name).unlink()
                    count += 1
        self.partial.drop_old()
        return count

    def _path(self, digest: Digest) -> Path:
        return self._blobs / digests.hexdigest(digests.parse_stored(digest))

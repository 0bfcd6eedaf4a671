"""Where the bytes of blobs are: the border that every kind of storage keeps.

Laws: a blob is there in full or not at all, and never changes. What was acknowledged survives a
power cut. An upload is a growing file that nobody else sees. Methods block, and may be called from
several threads at once; two calls for the same upload never run side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.digest import Digest

__all__ = ["BlobInfo", "Driver", "UploadInfo"]


class BlobInfo(NamedTuple):
    """A blob that is stored, and its size in bytes."""

    digest: Digest
    size: int


class UploadInfo(NamedTuple):
    """An upload under way: its id, its bytes, and when it last grew (seconds since 1970)."""

    id: str
    size: int
    changed: float


class Driver(Protocol):
    """A kind of storage."""

    #: Whether other servers write there too. A look at an upload may take long then.
    shared: bool

    def start_upload(self, upload: str) -> None:
        """Begin the empty upload of this id (a name without slashes, never used before)."""

    def append(self, upload: str, offset: int, data: bytes) -> int:
        """Add ``data`` at the end, which is at ``offset``; the new size.

        Raises NotFoundError for an unknown upload, ConflictError when the end is elsewhere.
        """

    def sync(self, upload: str) -> None:
        """Let what was appended survive a power cut; comes before a size is acknowledged."""

    def upload_size(self, upload: str) -> int:
        """The bytes that it has. Raises NotFoundError."""

    def read_upload(self, upload: str) -> Iterator[bytes]:
        """What it has, from the beginning. Raises NotFoundError."""

    def finish(self, upload: str, digest: Digest) -> int:
        """Make the upload, whose content has been verified, the blob ``digest``; its size.

        A blob that is there already is kept. Raises NotFoundError.
        """

    def abort(self, upload: str) -> None:
        """Drop an upload; an unknown one is a success."""

    def open(self, digest: Digest) -> BinaryIO:
        """The blob for reading, seekable; the caller closes it. Raises NotFoundError.

        Where it is a file of this machine, ``fileno`` works and it can be sent by sendfile(2).
        """

    def size(self, digest: Digest) -> int | None:
        """The bytes of a blob, None when it is not there."""

    def delete(self, digest: Digest) -> None:
        """Forget a blob; one that is not there is a success. Who reads it reads to the end."""

    def blobs(self) -> Iterator[BlobInfo]:
        """Every blob, in no order."""

    def uploads(self) -> Iterator[UploadInfo]:
        """Every upload, in no order."""

    def close(self) -> None:
        """Give up what is held open."""

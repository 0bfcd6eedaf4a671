"""One blob on its way into the store."""

from __future__ import annotations

import hashlib
import os
import uuid
from typing import TYPE_CHECKING, Self

from knarr.content.failure import translated
from knarr.errors import DataLossError, InvalidArgumentError
from knarr.oci.digest import Digest, hexdigest
from knarr.sys import faults

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Writer:
    """Bytes staged under a unique name until ``commit`` gives them their digest's name.

    Used as a context manager: leaving it without a commit deletes what was staged. Not shared
    between threads.
    """

    def __init__(self, blobs: Path, ingest: Path, *, limit: int | None) -> None:
        self._blobs = blobs
        self._staged = ingest / uuid.uuid4().hex
        self._limit = limit
        self._hash = hashlib.sha256()
        self._size = 0
        with translated("stage blob"):
            self._fd = os.open(
                self._staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )

    @property
    def size(self) -> int:
        """How many bytes were written so far."""
        return self._size

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())

    def write(self, data: bytes | memoryview) -> int:
        """Append all of ``data``; raises InvalidArgumentError when the blob grows over its limit.

        Raises ResourceExhaustedError when the disk is full.
        """
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise InvalidArgumentError(f"blob is larger than the {self._limit} bytes allowed here")
        self._hash.update(data)
        rest = memoryview(data)
        with translated("write blob"):
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        return len(data)

    def commit(
        self, expected_size: int | None = None, expected_digest: Digest | None = None
    ) -> Digest:
        """Verify, make durable, and publish the blob; returns its digest.

        Raises DataLossError when size or digest are not the expected ones; nothing is published
        then. After a return the blob survives a power cut.
        """
        digest = self.digest
        if expected_size is not None and self._size != expected_size:
            raise DataLossError(
                f"blob {expected_digest or digest} has {self._size} bytes, expected {expected_size}"
            )
        if expected_digest is not None and digest != expected_digest:
            raise DataLossError(f"blob has digest {digest}, expected {expected_digest}")
        final = self._blobs / hexdigest(digest)
        with translated(f"commit blob {digest}"):
            os.fsync(self._fd)
            faults.point("content.staged")
            self._staged.rename(final)
            sync_directory(self._blobs)
        self._close()
        return digest

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            self._close()
            self._staged.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make a rename in ``path`` durable (fsync(2): the entry needs its own fsync)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

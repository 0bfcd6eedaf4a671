"""Blobs as files below one directory.

::

    <root>/
      blobs/<algorithm>/<two hex>/<hex>   complete, read-only, never changed
      uploads/<id>                        growing

Crash rule: an upload is fsynced before its size is told, renamed when its content was verified,
and the directory is fsynced. A kill at any moment leaves a whole blob or an upload that can go on.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO

from knarr.errors import ConflictError, NotFoundError
from knarr.oci import digest as digests
from knarr.registry import names
from knarr.registry.storage import BlobInfo, UploadInfo
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from knarr.oci.digest import Digest

_CHUNK = 1 << 20


class FileDriver:
    """See ``Driver``."""

    shared = False

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._uploads = root / "uploads"
        for algorithm in names.ALGORITHMS:
            (self._blobs / algorithm).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start_upload(self, upload: str) -> None:
        """See ``Driver``."""
        os.close(self._open_upload(upload, os.O_CREAT | os.O_EXCL))

    def append(self, upload: str, offset: int, data: bytes) -> int:
        """See ``Driver``."""
        descriptor = self._open_upload(upload)
        try:
            if os.fstat(descriptor).st_size != offset:
                raise ConflictError(f'upload "{upload}" does not end at {offset}')
            rest = memoryview(data)
            while rest:
                rest = rest[os.pwrite(descriptor, rest, offset + len(data) - len(rest)) :]
        finally:
            os.close(descriptor)
        return offset + len(data)

    def sync(self, upload: str) -> None:
        """See ``Driver``."""
        descriptor = self._open_upload(upload)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def upload_size(self, upload: str) -> int:
        """See ``Driver``."""
        try:
            return (self._uploads / upload).stat().st_size
        except FileNotFoundError:
            raise _unknown_upload(upload) from None

    def read_upload(self, upload: str) -> Iterator[bytes]:
        """See ``Driver``."""
        try:
            file = (self._uploads / upload).open("rb")
        except FileNotFoundError:
            raise _unknown_upload(upload) from None
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def finish(self, upload: str, digest: Digest) -> int:
        """See ``Driver``."""
        staged, final = self._uploads / upload, self._path(digest)
        descriptor = self._open_upload(upload)
        try:
            os.fdatasync(descriptor)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        faults.point("registry.blob-staged")
        final.parent.mkdir(mode=0o700, exist_ok=True)
        staged.rename(final)
        for folder in (final.parent, final.parent.parent):
            _sync_directory(folder)
        return size

    def abort(self, upload: str) -> None:
        """See ``Driver``."""
        (self._uploads / upload).unlink(missing_ok=True)

    def open(self, digest: Digest) -> BinaryIO:
        """See ``Driver``."""
        try:
            return self._path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFoundError(f"blob {digest} is not stored") from None

    def size(self, digest: Digest) -> int | None:
        """See ``Driver``."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, digest: Digest) -> None:
        """See ``Driver``."""
        self._path(digest).unlink(missing_ok=True)

    def blobs(self) -> Iterator[BlobInfo]:
        """See ``Driver``."""
        for algorithm in names.ALGORITHMS:
            for path in (self._blobs / algorithm).glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    yield BlobInfo(digests.parse(f"{algorithm}:{path.name}"), path.stat().st_size)

    def uploads(self) -> Iterator[UploadInfo]:
        """See ``Driver``."""
        for path in self._uploads.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                yield UploadInfo(path.name, found.st_size, found.st_mtime)

    def close(self) -> None:
        """See ``Driver``."""

    def _open_upload(self, upload: str, flags: int = 0) -> int:
        path = self._uploads / upload
        try:
            return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
        except FileNotFoundError:
            raise _unknown_upload(upload) from None

    def _path(self, digest: Digest) -> Path:
        value = digests.hexdigest(digest)
        return self._blobs / names.algorithm(digest) / value[:2] / value


def _unknown_upload(upload: str) -> NotFoundError:
    return NotFoundError(f'upload "{upload}" is not known')


def _sync_directory(path: Path) -> None:
    """Make a rename into ``path`` durable (fsync(2): the entry needs an fsync of its own)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Uploads under way: bytes that come in pieces, hashed as they come.

Law: what an upload's size was told to be is on disk. The state of the hash is kept in memory only:
an upload that goes on after a restart, or on another server, is read again from the storage once.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from knarr.errors import ConflictError, NotFoundError
from knarr.oci import digest as digests
from knarr.registry import names, refusals
from knarr.registry.metadata import UploadRow
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from hashlib import _Hash

    from knarr.oci.digest import Digest
    from knarr.registry.metadata import Metadata
    from knarr.registry.storage import Driver

_USUAL = "sha256"


class Upload:
    """One upload; not used by two threads at once."""

    def __init__(self, row: UploadRow, driver: Driver, size: int, limit: int) -> None:
        self.row = row
        self.size = size
        self._driver = driver
        self._limit = limit
        # Nothing is known of what was there before; an empty upload has nothing to know.
        self._hash: _Hash | None = names.hasher(_USUAL) if size == 0 else None

    @property
    def id(self) -> str:
        """Its id, as in its location."""
        return self.row.id

    def append(self, data: bytes) -> None:
        """Add bytes at the end. Raises ``RefusedError`` over the limit for a blob."""
        if self.size + len(data) > self._limit:
            raise RefusedError(refusals.TOO_LARGE, {"limit": self._limit})
        try:
            self.size = self._driver.append(self.id, self.size, data)
        except ConflictError:
            # Another server has gone on with it: whoever asks is behind.
            self.size, self._hash = self._driver.upload_size(self.id), None
            raise RefusedError(refusals.RANGE_INVALID) from None
        if self._hash is not None:
            self._hash.update(data)

    def sync(self) -> None:
        """Make all that was appended durable, so that the size may be told."""
        self._driver.sync(self.id)

    def catch_up(self) -> None:
        """Notice what another server has added. Raises ``NotFoundError`` when it is no more."""
        size = self._driver.upload_size(self.id)
        if size != self.size:
            self.size, self._hash = size, None

    def digest(self, algorithm: str) -> Digest:
        """The digest of everything so far."""
        if self._hash is not None and algorithm == _USUAL:
            return digests.parse(f"{_USUAL}:{self._hash.hexdigest()}")
        made = names.hasher(algorithm)
        for chunk in self._driver.read_upload(self.id):
            made.update(chunk)
        return digests.parse(f"{algorithm}:{made.hexdigest()}")


class Uploads:
    """All uploads of one server."""

    def __init__(self, driver: Driver, metadata: Metadata, limit: int) -> None:
        self._driver = driver
        self._metadata = metadata
        self._limit = limit
        self._open: dict[str, Upload] = {}

    def begin(self, repository: str) -> Upload:
        """Begin an empty one."""
        row = UploadRow(str(uuid.uuid4()), repository, time.time())
        self._metadata.add_upload(row)
        self._driver.start_upload(row.id)
        return self._open.setdefault(row.id, Upload(row, self._driver, 0, self._limit))

    def get(self, repository: str, upload: str) -> Upload:
        """One that was begun in this repository. Raises ``RefusedError``."""
        found = self._open.get(upload)
        try:
            if found is None:
                found = self._known(upload)
            elif self._driver.shared:
                found.catch_up()
        except NotFoundError:
            self.forget(upload)
            raise _unknown() from None
        if found.row.repository != repository:
            raise _unknown()
        return found

    def _known(self, upload: str) -> Upload:
        """One that was begun before this server was, or at another one."""
        row = self._metadata.upload(upload)
        if row is None:
            raise _unknown()
        size = self._driver.upload_size(upload)
        return self._open.setdefault(upload, Upload(row, self._driver, size, self._limit))

    def end(self, upload: Upload) -> None:
        """Forget one that has become a blob."""
        self._open.pop(upload.id, None)
        self._metadata.remove_upload(upload.id)

    def forget(self, upload: str) -> None:
        """Keep nothing in memory of an upload that is dropped."""
        self._open.pop(upload, None)

    def abort(self, upload: Upload) -> None:
        """Drop one with its bytes."""
        self._driver.abort(upload.id)
        self.end(upload)


def _unknown() -> RefusedError:
    return RefusedError(refusals.BLOB_UPLOAD_UNKNOWN)

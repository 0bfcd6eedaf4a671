"""Reading with a check: the last bytes come only when all bytes were right."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO

from knarr.errors import DataLossError

if TYPE_CHECKING:
    from knarr.oci.digest import DiffID, Digest


class VerifyingReader:
    """Reads a stream and raises DataLossError at its end when digest or size are wrong.

    The caller must read to the end; until then nothing was proved. It does not own the stream.
    """

    def __init__(self, stream: BinaryIO, digest: Digest | DiffID, size: int | None = None) -> None:
        self._stream = stream
        self._digest = digest
        self._size = size
        self._seen = 0
        self._hash = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        """Up to ``count`` bytes; the empty answer is given only after the check passed."""
        data = self._stream.read(count)
        self._hash.update(data)
        self._seen += len(data)
        if not data or count < 0:
            self._check()
        return data

    def _check(self) -> None:
        if self._size is not None and self._seen != self._size:
            raise DataLossError(
                f"content {self._digest} is damaged: {self._seen} bytes instead of {self._size}"
            )
        found = "sha256:" + self._hash.hexdigest()
        if found != self._digest:
            raise DataLossError(f"content {self._digest} is damaged: its bytes have digest {found}")

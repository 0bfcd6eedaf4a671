"""A blob that comes in over several attempts.

Law: a partial blob is a file under the digest that it shall have; what is in it are the first
bytes of the blob, unless its digest shows at the end that they are not. It outlives who writes it,
the process and the machine, until it is published, dropped, or older than ``LASTING_SECONDS``.
Bytes that a power cut took away or mixed up are found by the digest.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

from knarr.content.failure import translated
from knarr.content.writer import sync_directory
from knarr.errors import DataLossError, InvalidArgumentError
from knarr.oci.digest import Digest, hexdigest
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LASTING_SECONDS = 24 * 3600
"""How long what was begun waits for being continued."""

SUFFIX = ".partial"

_CHUNK = 1 << 20


class Partial:
    """The bytes of one blob that are here so far, open for more.

    One thread writes; ``publish`` may be called from any, and more than once. Leave it by
    ``PartialBlobs.release``.
    """

    def __init__(self, path: Path, final: Path, digest: Digest, *, limit: int) -> None:
        self.digest = digest
        self.limit = limit
        self._path = path
        self._final = final
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._published = False
        with translated(f"continue blob {digest}"):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.size = os.fstat(self._fd).st_size
            if self.size > limit:
                self.restart()
            os.utime(self._fd)
        self._unread = self.size

    def replay(self) -> BinaryIO:
        """What is here, to be read once from the begin to the end before anything is written.

        The reader passes what it reads to ``count``, so that the digest covers it.
        """
        with translated(f"continue blob {self.digest}"):
            return os.fdopen(os.dup(self._fd), "rb", buffering=0)

    def count(self, data: bytes | memoryview) -> None:
        """Take bytes of ``replay`` into the digest."""
        self._hash.update(data)
        self._unread -= len(data)

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``; raises InvalidArgumentError beyond the blob's size."""
        if self.size + len(data) > self.limit:
            raise InvalidArgumentError(
                f"blob {self.digest} is larger than the {self.limit} bytes that were announced"
            )
        self._hash.update(data)
        rest = memoryview(data)
        with translated(f"write blob {self.digest}"):
            while rest:
                done = os.pwrite(self._fd, rest, self.size)
                self.size += done
                rest = rest[done:]
        faults.point("content.partial-written")

    def restart(self) -> None:
        """Forget all bytes."""
        with translated(f"begin blob {self.digest} again"):
            os.ftruncate(self._fd, 0)
        self.size = self._unread = 0
        self._hash = hashlib.sha256()

    def matches(self) -> bool:
        """Whether the bytes are complete and have the digest."""
        found = "sha256:" + self._hash.hexdigest()
        return self.size == self.limit and not self._unread and found == self.digest

    def complete(self) -> None:
        """Verify and bring to the disk; raises DataLossError."""
        if not self.matches():
            raise DataLossError(f"content {self.digest} is damaged: its bytes have another digest")
        with translated(f"store blob {self.digest}"):
            os.fsync(self._fd)
        faults.point("content.partial-complete")

    def publish(self) -> None:
        """Make the complete blob one of the store; again is success. See ``PartialBlobs``."""
        with self._lock, translated(f"commit blob {self.digest}"):
            if not self._published:
                self._path.rename(self._final)
                self._published = True

    def close(self, *, drop: bool) -> None:
        """End the work; ``drop`` deletes what is here, unless it was published."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if not self._published and (drop or not self.size):
                self._path.unlink(missing_ok=True)


class PartialBlobs:
    """The partial blobs of one store; safe to use from several threads."""

    def __init__(self, blobs: Path, ingest: Path) -> None:
        self._blobs = blobs
        self._ingest = ingest
        self._lock = threading.Lock()
        self._open: set[Digest] = set()

    def open(self, digest: Digest, size: int) -> Partial | None:
        """Begin or continue a blob of ``size`` bytes; None while somebody else writes it."""
        with self._lock:
            if digest in self._open:
                return None
            name = hexdigest(digest)
            path = self._ingest / (name + SUFFIX)
            partial = Partial(path, self._blobs / name, digest, limit=size)
            self._open.add(digest)
            return partial

    def publish(self, partials: Iterable[Partial]) -> None:
        """Make complete blobs those of the store, durably, in one step for the disk."""
        for partial in partials:
            partial.publish()
        with translated("commit blobs"):
            sync_directory(self._blobs)

    def release(self, partial: Partial, *, drop: bool) -> None:
        """End the work on a blob: it may be continued later, unless ``drop``."""
        with self._lock:
            partial.close(drop=drop)
            self._open.discard(partial.digest)

    def drop_all(self) -> int:
        """Delete all that nobody works on now; the bytes that this gave back."""
        return self._drop(older_than=None)

    def drop_old(self) -> int:
        """Delete what nobody has continued for long."""
        return self._drop(older_than=time.time() - LASTING_SECONDS)

    def _drop(self, older_than: float | None) -> int:
        freed = 0
        with self._lock, translated("delete partial blobs"), os.scandir(self._ingest) as entries:
            busy = {hexdigest(digest) + SUFFIX for digest in self._open}
            for entry in entries:
                if not entry.name.endswith(SUFFIX) or entry.name in busy:
                    continue
                status = entry.stat(follow_symlinks=False)
                if older_than is None or not older_than <= status.st_mtime <= time.time() + 60:
                    (self._ingest / entry.name).unlink(missing_ok=True)
                    freed += status.st_blocks * 512
        return freed

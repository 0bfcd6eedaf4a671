"""Garbage collection while the registry serves.

A blob is garbage when no manifest of its repository refers to it and nobody has pushed, mounted or
asked for it for a grace period: a push in flight brings its blobs first and its manifest last, and
may find blobs there that it then refers to. First it is taken out of the repository, then, when no
repository has it, its bytes are deleted, in one transaction that no push of the same blob runs
beside (``Metadata.drop_blob``). Bytes that were never recorded, left by a killed server, go when
they have been seen so for a grace period. Uploads that nobody went on with are dropped.
"""

from __future__ import annotations

import itertools
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from knarr.oci.digest import Digest
    from knarr.registry.rules import Rules
    from knarr.registry.storage import BlobInfo

_log = logging.getLogger(__name__)
_BATCH = 200


class Collected(NamedTuple):
    """What one collection has done: blobs taken out of repositories, blobs and uploads deleted."""

    forgotten: int
    blobs: int
    size: int
    uploads: int


class Collector:
    """Collects the garbage of one registry. ``grace`` and ``upload_age`` are seconds."""

    def __init__(
        self,
        rules: Rules,
        *,
        grace: float,
        upload_age: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._grace = grace
        self._upload_age = upload_age
        self._clock = clock
        self._strays: dict[Digest, float] = {}

    def run(self) -> Collected:
        """Collect once. Blocks; for a worker."""
        now = self._clock()
        before = now - self._grace
        forgotten = self._rules.metadata.forget_unused(before)
        blobs = size = 0
        for digest in itertools.chain(self._unowned(before), self._strays_of(now)):
            found = self._rules.driver.size(digest) or 0
            if self._drop(digest, before):
                blobs, size = blobs + 1, size + found
        done = Collected(forgotten, blobs, size, self._drop_uploads(now - self._upload_age))
        _log.info("collected: %s", done)
        return done

    def _unowned(self, before: float) -> Iterator[Digest]:
        """Blobs that are recorded and that no repository has."""
        seen: set[Digest] = set()
        while found := set(self._rules.metadata.unowned_blobs(before, _BATCH)) - seen:
            seen |= found
            yield from found

    def _strays_of(self, now: float) -> list[Digest]:
        """Blobs that are stored and not recorded, and were so a grace period ago."""
        strays: dict[Digest, float] = {}
        for batch in _batches(self._rules.driver.blobs()):
            known = self._rules.metadata.known_blobs([each.digest for each in batch])
            for each in batch:
                if each.digest not in known:
                    strays[each.digest] = self._strays.get(each.digest, now)
        self._strays = strays
        return [digest for digest, since in strays.items() if now - since >= self._grace]

    def _drop(self, digest: Digest, before: float) -> bool:
        def delete() -> None:
            self._rules.driver.delete(digest)

        return self._rules.metadata.drop_blob(digest, before, delete)

    def _drop_uploads(self, before: float) -> int:
        stale = {each.id for each in self._rules.driver.uploads() if each.changed < before}
        for row in self._rules.metadata.uploads():
            if row.started < before and row.id in stale:
                self._rules.metadata.remove_upload(row.id)
        for upload in stale:
            self._rules.uploads.forget(upload)
            self._rules.driver.abort(upload)
        return len(stale)


def _batches(blobs: Iterator[BlobInfo]) -> Iterator[list[BlobInfo]]:
    while batch := list(itertools.islice(blobs, _BATCH)):
        yield batch

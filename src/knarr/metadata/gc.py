"""Garbage collection: deletes the content that nothing needs.

How a file dies: the transaction that removes its last reason moves its row to ``doomed``; after
that commit ``sweep`` deletes the file, then the row in ``doomed``. Each step may be repeated, so a
kill between any two is harmless. ``recover`` at the start deletes everything that no root reaches,
also files that never had a row.

How a file survives that is needed again: ``keep`` takes it off the list under the lock that
``sweep`` holds while it deletes. Content whose name is known only after it was written is written
inside ``ingesting``, during which nothing is deleted at all.

Lock order: the collector's lock, then the database.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from knarr.errors import KnarrError
from knarr.oci.digest import DiffID, Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.content import BlobStore
    from knarr.metadata.database import Database
    from knarr.metadata.leases import Kind, LeaseID
    from knarr.snapshots import LayerStore

_log = logging.getLogger(__name__)


class Collector:
    """Deletes blobs and layers; one per engine, safe to use from several threads."""

    def __init__(self, database: Database, blobs: BlobStore, layers: LayerStore) -> None:
        self._leases = database.leases
        self._blobs = blobs
        self._layers = layers
        self._lock = threading.Lock()
        self._ingests = 0

    def recover(self) -> None:
        """Delete everything that no image, name or container needs; for the start of an engine.

        Nothing may be ingested meanwhile. What cannot be deleted is logged and tried again later.
        """
        needed = self._leases.end_all()
        self._blobs.recover()
        stray: list[tuple[Kind, str]] = [
            ("blob", info.digest) for info in self._blobs.all() if info.digest not in needed
        ]
        stray.extend(("layer", diff_id) for diff_id in self._layers.all() if diff_id not in needed)
        gone = [item for item in stray if self._delete(*item)]
        failed = set(stray) - set(gone)
        self._leases.forget_doomed(item for item in self._leases.doomed() if item not in failed)

    @contextlib.contextmanager
    def lease(self, purpose: str) -> Iterator[LeaseID]:
        """A lease for one operation; what it leaves without a root is deleted at the end."""
        lease_id = self._leases.acquire(purpose)
        try:
            yield lease_id
        finally:
            self._leases.release(lease_id)
            self.sweep()

    def keep(
        self,
        lease_id: LeaseID,
        *,
        blobs: Iterable[Digest] = (),
        layers: Iterable[DiffID] = (),
    ) -> None:
        """Keep content until the lease ends; look whether it is there only after this call."""
        with self._lock:
            self._leases.hold(lease_id, "blob", blobs)
            self._leases.hold(lease_id, "layer", layers)

    @contextlib.contextmanager
    def ingesting(self) -> Iterator[None]:
        """Nothing is deleted inside; leave it with the new content kept by a lease."""
        with self._lock:
            self._ingests += 1
        try:
            yield
        finally:
            with self._lock:
                self._ingests -= 1
        self.sweep()

    def sweep(self) -> None:
        """Delete what is doomed; does nothing while content is being written."""
        for kind, key in self._leases.doomed():
            with self._lock:
                if self._ingests:
                    return
                if self._leases.is_doomed(kind, key) and self._delete(kind, key):
                    self._leases.forget_doomed([(kind, key)])

    def _delete(self, kind: Kind, key: str) -> bool:
        try:
            if kind == "blob":
                self._blobs.delete(Digest(key))
            else:
                self._layers.remove(DiffID(key))
        except KnarrError as error:
            _log.warning("cannot delete %s %s: %s", kind, key, error)
            return False
        return True

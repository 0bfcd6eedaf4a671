"""A layer's tar as a gzip blob in the content store, made once and remembered.

Law: the same tar gives the same bytes, whenever and wherever: level and format are fixed, there is
neither time nor name in the head. zlib and not isal, whose bytes depend on the processor.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

from knarr.content import VerifyingReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.content import BlobInfo
    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.oci.digest import DiffID

_LEVEL = 6
_GZIP = 31  # zlib.h: a window of 32 KiB, with gzip's head and tail
_CHUNK = 1 << 20


class Packer:
    """Compresses layers; of one engine, so that no layer is compressed twice at a time."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._busy: dict[DiffID, threading.Lock] = {}
        self._known: dict[DiffID, BlobInfo] = {}

    def pack(
        self, diff_id: DiffID, lease: LeaseID, progress: Callable[[int, int], None]
    ) -> BlobInfo:
        """The layer as a blob that ``lease`` holds; ``progress`` gets bytes done and in all.

        Raises NotFoundError, DataLossError when the layer is damaged, what ``progress`` raises.
        """
        with self._lock:
            turn = self._busy.setdefault(diff_id, threading.Lock())
        with turn:
            known = self._known.get(diff_id)
            if known is not None:
                self._stores.collector.keep(lease, blobs=[known.digest])
                if self._stores.blobs.find(known.digest) is not None:
                    return known
            made = self._pack(diff_id, lease, progress)
            self._known[diff_id] = made
            return made

    def _pack(
        self, diff_id: DiffID, lease: LeaseID, progress: Callable[[int, int], None]
    ) -> BlobInfo:
        info = self._stores.layers.find(diff_id)
        total = info.size if info is not None else 0
        done = 0
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        with (
            self._stores.layers.open_tar(diff_id) as tar,
            self._stores.collector.ingesting(),
            self._stores.blobs.ingest() as writer,
        ):
            reader = VerifyingReader(tar, diff_id)
            while data := reader.read(_CHUNK):
                writer.write(packer.compress(data))
                done += len(data)
                progress(done, total)
            writer.write(packer.flush())
            self._stores.collector.keep(lease, blobs=[writer.digest])
            digest = writer.commit()
        return self._stores.blobs.info(digest)

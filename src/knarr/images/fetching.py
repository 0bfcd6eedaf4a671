"""Layers on their way from registries: each fetched once, however many pulls want it.

A fetch is one pass: download, keep, hash, decompress, hash again, write the layer. It belongs to
all pulls that wait for it, goes on while one of them does, and is broken off when the last one
leaves. What came in until then waits in the content store for the next attempt.

Law: a bounded number of layers is fetched at once, by threads that live only as long as there is
something to fetch. Whoever joins holds the layer and the blob by a lease and leaves the fetch
before the lease ends.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from knarr.api.images import Progress, ProgressDetail
from knarr.content import VerifyingReader
from knarr.errors import (
    DataLossError,
    InvalidArgumentError,
    KnarrError,
    ResourceExhaustedError,
    UnavailableError,
)
from knarr.images.bars import bar
from knarr.images.expansion import BombError, Expanded
from knarr.images.intake import Stored
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.content import Partial
    from knarr.images.board import Board
    from knarr.images.stores import Stores
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import DiffID, Digest
    from knarr.remotes import Repository

AT_ONCE = 4
"""How many layers are fetched at the same time in one engine."""

_CHUNK = 1 << 20
_TELL_SECONDS = 0.1
_BUSY_SECONDS = 0.02


class Wanted(NamedTuple):
    """A layer: the blob that it comes as, and what it is when it is decompressed."""

    descriptor: Descriptor
    digest: Digest
    diff_id: DiffID


class Fetch:
    """One layer on its way; ``Fetches`` makes it and knows who waits for it."""

    def __init__(self, wanted: Wanted, repository: Repository, owner: Board) -> None:
        self.wanted = wanted
        self.owner = owner
        """Who began it, with his registry."""
        self.repository = repository
        self.boards: list[Board] = []
        self.cancelled = False
        self.refused = False
        """Whether it was the registry that failed, and not what is here."""
        self.worthless = False
        """Whether who left last wants nothing of it to be kept."""
        self.ended = threading.Event()
        self.stored: Stored | None = None
        self.partial: Partial | None = None
        self.error: BaseException | None = None
        self._last: Progress | None = None

    def join(self, board: Board) -> None:
        """Tell this board too."""
        self.boards.append(board)
        board.post(self._message("Pulling fs layer", ProgressDetail()))
        if self._last is not None:
            board.post(self._last)

    def tell(self, status: str, current: int = 0, total: int = 0) -> None:
        """Tell everybody how far it is."""
        self._last = self._message(status, ProgressDetail(current=current, total=total))
        for board in tuple(self.boards):
            board.post(self._last)

    def _message(self, status: str, detail: ProgressDetail) -> Progress:
        return Progress(
            id=short_id(self.wanted.digest),
            status=status,
            progress_detail=detail,
            progress=bar(detail.current, detail.total),
        )

    def end(self, error: BaseException | None) -> None:
        """Wake up all who wait."""
        self.error = error
        self.ended.set()
        for board in tuple(self.boards):
            board.wake()


class Fetches:
    """All layers that are on their way in one engine."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._known: dict[Digest, Fetch] = {}
        self._queue: collections.deque[Fetch] = collections.deque()
        self._threads = 0

    def join(self, wanted: Wanted, board: Board, repository: Callable[[], Repository]) -> Fetch:
        """Take part in the fetch of a layer, which begins now unless it is under way."""
        with self._lock:
            fetch = self._known.get(wanted.digest)
            if fetch is not None:
                fetch.join(board)
                return fetch
            fetch = self._known[wanted.digest] = Fetch(wanted, repository(), board)
            fetch.join(board)
            self._queue.append(fetch)
            if self._threads < AT_ONCE:
                self._threads += 1
                threading.Thread(target=self._run, name="knarr-pull", daemon=True).start()
            else:
                fetch.tell("Waiting")
            return fetch

    def leave(self, fetch: Fetch, board: Board, *, drop: bool) -> None:
        """Take part no longer; the last one ends the fetch and waits until it has ended.

        ``drop``: what came in is not worth keeping.
        """
        with self._lock:
            fetch.boards.remove(board)
            if fetch.boards:
                return
            fetch.cancelled, fetch.worthless = True, drop
            if self._known.get(fetch.wanted.digest) is fetch:
                del self._known[fetch.wanted.digest]
            if fetch in self._queue:
                self._queue.remove(fetch)
                fetch.end(None)
        if not fetch.ended.is_set():
            fetch.repository.cancel()
            fetch.ended.wait()
        if fetch.partial is not None:
            self._stores.blobs.partial.release(fetch.partial, drop=drop)
            fetch.partial = None

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                fetch = self._queue.popleft()
            error: BaseException | None = None
            try:
                _Attempt(self._stores, fetch).run()
            except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
                error = failure
                with self._lock:
                    if self._known.get(fetch.wanted.digest) is fetch:
                        del self._known[fetch.wanted.digest]
            fetch.end(error)


class _Attempt:
    """What a thread does for one layer."""

    def __init__(self, stores: Stores, fetch: Fetch) -> None:
        self._stores = stores
        self._fetch = fetch
        self._wanted = fetch.wanted

    def run(self) -> None:
        """Bring the layer into the stores; the blob is published by who records the image."""
        digest, diff_id = self._wanted.digest, self._wanted.diff_id
        size = self._wanted.descriptor.size
        if self._stores.blobs.find(digest) is not None:
            with self._stores.blobs.open(digest) as stream:
                reader = cast("BinaryIO", VerifyingReader(stream, digest, size))
                info = self._stores.layers.ingest(Expanded(reader).as_file(), expected=diff_id)
            self._fetch.stored = Stored(digest, size, info)
            self._fetch.tell("Pull complete")
            return
        partial = self._open()
        try:
            self._fetch.stored = self._complete(partial)
        except BaseException as error:
            full = isinstance(error, ResourceExhaustedError) and not self._fetch.refused
            drop = full or is_hostile(error) or self._fetch.worthless
            self._stores.blobs.partial.release(partial, drop=drop)
            raise
        if str(diff_id) == digest:  # not compressed: the layer has the same bytes
            self._stores.blobs.partial.release(partial, drop=True)
        else:
            self._fetch.partial = partial
        faults.point("pull.layer-done")
        self._fetch.tell("Pull complete")

    def _open(self) -> Partial:
        """The partial blob, when whoever broke off before has let it go."""
        while True:
            partial = self._stores.blobs.partial.open(
                self._wanted.digest, self._wanted.descriptor.size
            )
            if partial is not None:
                return partial
            if self._fetch.cancelled:
                raise _left()
            time.sleep(_BUSY_SECONDS)

    def _complete(self, partial: Partial) -> Stored:
        if partial.size:
            try:
                return self._pass(partial)
            except (DataLossError, InvalidArgumentError):
                partial.restart()  # what an earlier attempt left may be what is wrong
        return self._pass(partial)

    def _pass(self, partial: Partial) -> Stored:
        with contextlib.ExitStack() as opened:
            source = _Source(self._fetch, partial, opened)
            try:
                info = self._stores.layers.ingest(
                    Expanded(source.as_file()).as_file(), expected=self._wanted.diff_id
                )
            except (InvalidArgumentError, DataLossError) as error:
                source.drain()
                if not partial.matches():
                    raise _unverified(self._wanted.digest) from error
                raise
            source.drain()
        self._fetch.tell("Verifying Checksum")
        if not partial.matches():
            raise _unverified(self._wanted.digest)
        partial.complete()
        self._fetch.tell("Download complete")
        self._fetch.tell("Extracting", partial.size, partial.size)
        return Stored(self._wanted.digest, partial.size, info)


class _Source:
    """The bytes of a blob: those that are here, then those of the registry, which are kept."""

    def __init__(self, fetch: Fetch, partial: Partial, opened: contextlib.ExitStack) -> None:
        self._fetch = fetch
        self._partial = partial
        self._opened = opened
        self._replay = opened.enter_context(partial.replay()) if partial.size else None
        self._remote: BinaryIO | None = None
        self._told = 0.0

    def as_file(self) -> BinaryIO:
        """This, for those who take a file; only ``read`` is used of it."""
        return cast("BinaryIO", self)

    def read(self, count: int = -1) -> bytes:
        """The next bytes; raises UnavailableError when nobody wants them any more."""
        if self._fetch.cancelled:
            raise _left()
        if self._replay is not None:
            if data := self._replay.read(count):
                self._partial.count(data)
                return data
            self._replay = None
        if self._remote is None and self._partial.size == self._partial.limit:
            return b""
        try:
            data = self._from_registry(count)
        except KnarrError:
            self._fetch.refused = True
            raise
        self._partial.write(data)
        self._tell()
        return data

    def _from_registry(self, count: int) -> bytes:
        if self._remote is None:
            blob = self._fetch.repository.open_blob(
                self._fetch.wanted.descriptor, self._partial.size
            )
            self._remote = self._opened.enter_context(blob)
        return self._remote.read(count)

    def drain(self) -> None:
        """Read what is left, so that the digest is of everything."""
        while self.read(_CHUNK):
            pass

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            self._fetch.tell("Downloading", self._partial.size, self._partial.limit)


def is_hostile(error: BaseException) -> bool:
    """Whether the content is at fault, so that nothing of it is worth keeping."""
    return isinstance(error, DataLossError | InvalidArgumentError | BombError)


def short_id(digest: Digest) -> str:
    """The 12 digits by which progress names a layer."""
    return digest.partition(":")[2][:12]


def _left() -> UnavailableError:
    return UnavailableError("the pull was cancelled")


def _unverified(digest: Digest) -> DataLossError:
    return DataLossError(f"filesystem layer verification failed for digest {digest}")

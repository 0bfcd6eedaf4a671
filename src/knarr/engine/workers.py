"""The crossing from the event loop to code that blocks.

Law: bounded. ``run`` is for work that ends by itself soon (files, mounts, the database); ``bulk``
is for what takes long and streams (load, save, prune), so that it can never keep short work from
a thread. A stream crosses through ``readable`` (bytes towards a worker) and ``iterate`` (values
from a worker): both hold a few items at most, so that the slower side holds the faster one back.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar, cast

from knarr.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from _typeshed import WriteableBuffer

T = TypeVar("T")

_SHORT_THREADS = 16
_BULK_THREADS = 32  # they wait for clients most of the time
_QUEUED = 8


class Workers:
    """The pools of one engine; ``close`` waits for what runs."""

    def __init__(self) -> None:
        self._short = ThreadPoolExecutor(_SHORT_THREADS, "knarr-worker")
        self._bulk = ThreadPoolExecutor(_BULK_THREADS, "knarr-bulk")

    async def run(self, function: Callable[[], T]) -> T:
        """The result of short blocking work."""
        return await asyncio.get_running_loop().run_in_executor(self._short, function)

    async def bulk(self, function: Callable[[], T]) -> T:
        """The result of long blocking work."""
        return await asyncio.get_running_loop().run_in_executor(self._bulk, function)

    async def iterate(
        self,
        make: Callable[[Callable[[T], None]], None],
        *,
        abandoned: Callable[[], None] | None = None,
    ) -> AsyncIterator[T]:
        """The values that ``make`` puts out, called with the function that takes them.

        An error of ``make`` is raised here after the values before it. When the consumer leaves
        early, the next value that ``make`` puts out raises ``UnavailableError`` in it;
        ``abandoned``, which is called then on the loop, may let it notice sooner.
        """
        channel: _Channel[T] = _Channel()
        task = asyncio.create_task(self.bulk(lambda: channel.fill(make)))
        try:
            while (item := await channel.queue.get()) is not None:
                yield item[0]
            await task
        finally:
            channel.abandon()
            if abandoned is not None and not task.done():
                abandoned()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # raised above, or nobody is there to be told

    def close(self) -> None:
        """End the threads; nothing more may be asked."""
        self._short.shutdown()
        self._bulk.shutdown()


class _Channel(Generic[T]):
    """From a worker to the loop: a queue that makes the worker wait while it is full."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._abandoned = False
        self.queue: asyncio.Queue[tuple[T] | None] = asyncio.Queue(_QUEUED)

    def fill(self, make: Callable[[Callable[[T], None]], None]) -> None:
        """In the worker: run ``make``; the end of it is the end of the queue."""
        try:
            make(lambda value: self._put((value,)))
        finally:
            with contextlib.suppress(UnavailableError):
                self._put(None)

    def _put(self, item: tuple[T] | None) -> None:
        if self._abandoned:
            raise UnavailableError("the client has gone away")
        asyncio.run_coroutine_threadsafe(self.queue.put(item), self._loop).result()

    def abandon(self) -> None:
        """On the loop: nobody reads any more; lets a waiting worker go on into its error."""
        self._abandoned = True
        while not self.queue.empty():
            self.queue.get_nowait()


def readable(chunks: AsyncIterator[bytes]) -> BinaryIO:
    """A blocking file for a worker that reads what comes on the loop; made on the loop.

    The reader pulls: a chunk is only taken from ``chunks`` when the one before it is used up. An
    error of ``chunks`` comes out of ``read``.
    """
    return cast("BinaryIO", io.BufferedReader(_Pulled(chunks), 1024 * 1024))


class _Pulled(io.RawIOBase):
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._rest:
            future = asyncio.run_coroutine_threadsafe(self._pull(), self._loop)
            chunk = future.result()
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        target = memoryview(buffer).cast("B")
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _pull(self) -> bytes | None:
        return await anext(self._chunks, None)

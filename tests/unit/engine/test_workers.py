from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from knarr.engine.gate import Gate
from knarr.engine.workers import Workers, readable
from knarr.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def test_values_cross_in_order_and_errors_after_them(workers: Workers) -> None:
    def make(put: Callable[[int], None]) -> None:
        for number in range(50):
            put(number)
        raise NotFoundError("over")

    async def scene() -> None:
        stream = workers.iterate(make)
        assert [await anext(stream) for _ in range(50)] == list(range(50))
        with pytest.raises(NotFoundError, match="over"):
            await anext(stream)

    asyncio.run(scene())


def test_a_reader_that_leaves_ends_the_maker(workers: Workers) -> None:
    seen: list[BaseException] = []

    def make(put: Callable[[int], None]) -> None:
        try:
            for number in range(10**9):
                put(number)
        except UnavailableError as error:
            seen.append(error)
            raise

    async def scene() -> None:
        stream = workers.iterate(make)
        assert await anext(stream) == 0
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(scene())
    assert len(seen) == 1


def test_the_slower_side_holds_the_faster_one_back(workers: Workers) -> None:
    made = 0

    def make(put: Callable[[int], None]) -> None:
        nonlocal made
        for number in range(100):
            put(number)
            made += 1

    async def scene() -> None:
        stream = workers.iterate(make)
        for _ in range(5):
            await anext(stream)
        await asyncio.sleep(0.05)
        assert made < 30
        assert len([one async for one in stream]) == 95

    asyncio.run(scene())


def test_bytes_cross_to_a_worker(workers: Workers) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(100):
            await asyncio.sleep(0)
            yield bytes([number]) * number * 100

    async def scene() -> None:
        file = readable(chunks())
        content = await workers.bulk(file.read)
        assert content == b"".join(bytes([number]) * number * 100 for number in range(100))

    asyncio.run(scene())


def test_an_error_of_the_sender_comes_out_of_read(workers: Workers) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        raise UnavailableError("the client has gone away")

    async def scene() -> None:
        file = readable(chunks())
        assert await workers.bulk(lambda: file.read(4)) == b"some"
        with pytest.raises(UnavailableError):
            await workers.bulk(lambda: file.read(1))

    asyncio.run(scene())


def test_long_work_does_not_block_short_work(workers: Workers) -> None:
    async def scene() -> None:
        release = threading.Event()
        long = [asyncio.create_task(workers.bulk(release.wait)) for _ in range(20)]
        async with asyncio.timeout(10):
            assert await workers.run(lambda: "done") == "done"
        release.set()
        await asyncio.gather(*long)

    asyncio.run(scene())


def test_the_gate_lets_many_in_or_one() -> None:
    async def scene() -> None:
        gate = Gate()
        log: list[str] = []
        leave = asyncio.Event()

        async def many(name: str) -> None:
            async with gate.inside():
                log.append(f"{name} in")
                await leave.wait()
                log.append(f"{name} out")

        async def one() -> None:
            async with gate.alone():
                log.append("alone")

        first = [asyncio.create_task(many(name)) for name in "ab"]
        await asyncio.sleep(0)
        exclusive = asyncio.create_task(one())
        await asyncio.sleep(0)
        late = asyncio.create_task(many("c"))
        await asyncio.sleep(0)
        assert log == ["a in", "b in"]
        leave.set()
        await asyncio.gather(*first, exclusive, late)
        assert log == ["a in", "b in", "a out", "b out", "alone", "c in", "c out"]

    asyncio.run(scene())

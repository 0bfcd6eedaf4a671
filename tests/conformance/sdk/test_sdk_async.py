"""The library for asyncio on a real engine; ``go`` checks that no connection is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import knarr
from knarr.errors import NotFoundError

from .conftest import SCRIPT

Go = Callable[..., Any]


def test_run(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        command = ["sh", "-c", "cat; echo e >&2; exit 3"]
        result = await engine.containers.run_to_end("busybox", command, input="in", network="none")
        assert result == knarr.Result(3, b"in", b"e\n")
        async with engine.containers.run("busybox", ["sh", "-c", SCRIPT], network="none") as made:
            lines = made.logs(follow=True).lines()
            assert {(await anext(lines)).text, (await anext(lines)).text} == {"ready", "oops"}
            await lines.aclose()
            found = await made.inspect()
            assert found.state.running
            assert (await made.exec("cat", input="x" * 300_000)).stdout == b"x" * 300_000
            await made.stop(grace=5)
            assert await made.wait() == 7
        with pytest.raises(NotFoundError):
            await made.inspect()
        assert await engine.containers.list(every=True) == ()

    go(use)


def test_a_hundred_wait_at_once(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> list[int]:
        async with engine.containers.run("busybox", "sleep 60", network="none") as made:
            waits = [asyncio.create_task(made.wait()) for _ in range(100)]
            listed = asyncio.create_task(engine.containers.list())
            assert await listed == (made,)
            await made.kill()
            return await asyncio.gather(*waits)

    assert go(use) == [137] * 100


def test_cancelled_iterators(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        async with engine.containers.run("busybox", ["sh", "-c", SCRIPT], network="none") as made:

            async def read(stream: knarr.AsyncStream[Any]) -> None:
                async for _ in stream:
                    seen.release()

            seen = asyncio.Semaphore(0)
            streams = [made.logs(follow=True), made.attach(), made.stats(), engine.events()]
            tasks = [asyncio.create_task(read(stream)) for stream in streams]
            await seen.acquire()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)

    go(use)


def test_cancelling_removes_what_was_made(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        async def work() -> None:
            async with engine.containers.run("busybox", "sleep 60", network="none"):
                await engine.containers.run_to_end("busybox", "sleep 60", network="none")

        for delay in (0, 0.001, 0.005, 0.01, 0.03, 0.1):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(work(), delay)

    async def left(engine: knarr.AsyncEngine) -> tuple[knarr.AsyncContainer, ...]:
        return await engine.containers.list(every=True)

    go(use)
    assert go(left) == ()


def test_streams_in_both_directions(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        async with engine.containers.create("busybox", ["cat"], stdin=True, network="none") as made:
            async with made.attach(stdin=True) as stream:
                await made.start()
                await stream.send(b"there and back\n")
                assert await anext(stream) == ("stdout", b"there and back\n")
                async with made.exec_stream(["cat"], stdin=True) as process:
                    await process.send(b"beside\n")
                    assert await anext(process) == ("stdout", b"beside\n")
                    assert await process.exit_code() is None
                    await process.close_stdin()
                    assert [each async for each in process] == []
                    assert await process.exit_code() == 0
                await stream.close_stdin()
                assert [each async for each in stream] == []
            assert await made.wait() == 0

    go(use)


def test_images_volumes_and_the_engine(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        image = await engine.images.get("busybox")
        other = await image.tag("other", "v2")
        archive = await other.save().read()
        await other.remove()

        async def pieces() -> Any:
            for start in range(0, len(archive), 100_000):
                yield archive[start : start + 100_000]

        async with engine.images.load(pieces()) as (loaded,):
            assert loaded.name == "other:v2"
            assert loaded in await engine.images.list()
        assert loaded not in await engine.images.list()
        async with engine.volumes.create("v2") as volume:
            assert (await volume.inspect()).name == "v2"
            assert volume in await engine.volumes.list()
        with pytest.raises(NotFoundError):
            await engine.volumes.get("v2")
        assert (await engine.ping()).os_type == "linux"
        assert (await engine.version()).api_version == (await engine.ping()).api_version
        assert (await engine.info()).ncpu >= 1
        assert (await engine.disk_usage()).images
        async with engine.events(since=0, until=time.time()) as events:
            assert "load" in [event.action async for event in events]

    go(use)

"""``kill -9`` of the engine while a program uses it through the library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import knarr
from knarr.errors import UnavailableError
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

COUNTER = "i=0; while :; do echo line $i; i=$((i+1)); usleep 2000; done"


def test_killed_in_the_middle_of_streams(make_engine: Callable[..., Engine]) -> None:
    server = make_engine()
    with knarr.connect(server.host) as engine:
        container = engine.containers.run("busybox", ["sh", "-c", COUNTER], network="none")
        lines = container.logs(follow=True).lines()
        events = engine.events()
        attached = container.attach()
        seen = [next(lines).text for _ in range(50)]
        server.kill9()
        with pytest.raises(UnavailableError, match="hung up"):
            seen += [line.text for line in lines]
        with pytest.raises(UnavailableError, match="hung up"):
            list(events)
        attached.read()  # what was taken over just ends
        with pytest.raises(knarr.NoEngineError, match="Cannot connect"):
            container.inspect()
        server.start()
        assert container.inspect().state.running
        again = container.logs(follow=True).lines()
        assert [next(again).text for _ in range(len(seen) + 50)][: len(seen)] == seen
        again.close()
        container.discard()


def test_killed_while_others_wait(make_engine: Callable[..., Engine]) -> None:
    server = make_engine()

    async def use() -> None:
        async with knarr.connect_async(server.host) as engine:
            container = await engine.containers.run("busybox", "sleep 60", network="none")
            waits = [asyncio.create_task(container.wait()) for _ in range(20)]
            process = container.exec_stream(["cat"], stdin=True)
            await process.send(b"x\n")
            assert await anext(process) == ("stdout", b"x\n")
            await asyncio.to_thread(server.kill9)
            failures = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(each) for each in failures} <= {UnavailableError, knarr.NoEngineError}
            with pytest.raises(StopAsyncIteration):
                await anext(process)
            with pytest.raises(knarr.NoEngineError):
                await container.exec("true")
            await asyncio.to_thread(server.start)
            assert (await container.exec("echo on")).stdout == b"on\n"
            await container.kill()
            assert await container.wait() == 137
            await container.discard()

    asyncio.run(use())

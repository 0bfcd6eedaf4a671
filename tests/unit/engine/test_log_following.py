from __future__ import annotations

import asyncio
from pathlib import Path

from knarr.containers.logs import LogReader, Selection
from knarr.engine import logstream
from knarr.engine.live import Outcome
from knarr.engine.logwatch import Growth, LogWatch
from knarr.engine.workers import Workers


def bounded(scenario) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(run())


def test_an_end_before_the_first_reading_ends_the_stream(tmp_path: Path) -> None:
    """The container ends while its log is being opened: nothing will wake the follower again."""
    log = tmp_path / "x-json.log"
    log.write_text('{"log":"one\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}\n')

    async def follow() -> None:
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        workers = Workers()
        growth = Growth()
        ended.add_done_callback(lambda _ended: growth.ended())
        ended.set_result(Outcome(0, ""))
        await asyncio.sleep(0)
        reader = LogReader(log, Selection(stdout=True, stderr=True, framed=False))
        try:
            chunks = logstream.followed(reader, workers, ended, growth)
            assert b"".join([chunk async for chunk in chunks]) == b"one\n"
        finally:
            reader.close()
            workers.close()

    bounded(follow)


def test_many_followers_share_a_descriptor(tmp_path: Path) -> None:
    """A user has 128 inotify instances by default."""

    async def scenario() -> None:
        watch = LogWatch()
        folders = [tmp_path / str(number) for number in range(300)]
        growths = []
        for folder in folders:
            folder.mkdir()
            for _ in range(2):
                growth = Growth()
                growths.append((growth, watch.follow(folder, growth)))
        (folders[7] / "log").write_text("x")
        first, second = growths[14][0], growths[15][0]
        await first.noticed.wait()
        await second.noticed.wait()
        assert sum(growth.noticed.is_set() for growth, _ in growths) == 2
        watch.leave(growths[14][1], first)
        second.noticed.clear()
        with (folders[7] / "log").open("a") as file:
            file.write("more")
        await second.noticed.wait()
        folders[8].rmdir()
        for growth, number in growths:
            if growth is not first:
                watch.leave(number, growth)
        assert watch._descriptor == -1

    bounded(scenario)


def test_a_follower_of_nothing_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        watch = LogWatch()
        try:
            watch.follow(tmp_path / "absent", Growth())
        except FileNotFoundError:
            assert watch._descriptor == -1
        else:
            raise AssertionError("what is not there was watched")

    bounded(scenario)

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from knarr.containers.logs import LogReader, Selection
from knarr.engine import logstream
from knarr.engine.live import Outcome
from knarr.engine.workers import Workers
from knarr.sys import inotify


def test_an_end_before_the_first_reading_ends_the_stream(tmp_path: Path) -> None:
    """The container ends while its log is being opened: nothing will wake the follower again."""
    log = tmp_path / "x-json.log"
    log.write_text('{"log":"one\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}\n')

    async def follow() -> bytes:
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        workers = Workers()
        watch = inotify.watch_directory(tmp_path)
        growth = logstream.Growth(watch)
        ended.add_done_callback(lambda _ended: growth.noticed.set())
        ended.set_result(Outcome(0, ""))
        await asyncio.sleep(0)
        reader = LogReader(log, Selection(stdout=True, stderr=True, framed=False))
        try:
            chunks = logstream.followed(reader, workers, ended, growth)
            return b"".join([chunk async for chunk in chunks])
        finally:
            reader.close()
            os.close(watch)
            workers.close()

    async def bounded() -> bytes:
        async with asyncio.timeout(5):
            return await follow()

    assert asyncio.run(bounded()) == b"one\n"

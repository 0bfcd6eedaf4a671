"""Logs as a stream: what is there, then, if followed, what comes.

Law: reading blocks and runs in a worker, a block at a time; nothing polls: inotify says when the
log grows, the container's end says when it does not any more. The supervisor tells of an end only
after the last line is in the file, so one more reading after that is complete.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from knarr.containers.logs import LogReader, Selection
from knarr.sys import inotify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .live import LiveContainer, Outcome
    from .services import LogOptions
    from .workers import Workers


def selection(options: LogOptions, *, tty: bool) -> Selection:
    """The same wishes for the reader."""
    return Selection(
        stdout=options.stdout,
        stderr=options.stderr,
        since=options.since,
        until=options.until,
        timestamps=options.timestamps,
        details=options.details,
        tail=options.tail,
        framed=not tty,
    )


async def stream(
    live: LiveContainer, path: Path, wanted: Selection, workers: Workers, *, follow: bool
) -> AsyncIterator[bytes]:
    """The chunks of the log; it ends with the log, or with the container if it is followed."""
    if not follow or not live.record.is_running:
        async for chunk in _present(path, wanted, workers):
            yield chunk
        return
    ended = live.next_exit()
    watch = inotify.watch_directory(path.parent)
    grown = asyncio.Event()
    ended.add_done_callback(lambda _ended: grown.set())
    loop = asyncio.get_running_loop()
    loop.add_reader(watch, grown.set)
    try:
        reader = await workers.run(lambda: LogReader(path, wanted))
        try:
            async for chunk in _followed(reader, workers, ended, grown, watch):
                yield chunk
        finally:
            reader.close()
    finally:
        loop.remove_reader(watch)
        os.close(watch)
        ended.cancel()


async def _followed(
    reader: LogReader,
    workers: Workers,
    ended: asyncio.Future[Outcome],
    grown: asyncio.Event,
    watch: int,
) -> AsyncIterator[bytes]:
    while not reader.finished:
        inotify.drain(watch)
        grown.clear()
        # Asked after the clearing and before the reading: an end that is told later sets it again.
        last = ended.done()
        while chunk := await workers.run(reader.batch):
            yield chunk
        if last:
            return
        await grown.wait()


async def _present(path: Path, wanted: Selection, workers: Workers) -> AsyncIterator[bytes]:
    reader = await workers.run(lambda: LogReader(path, wanted))
    try:
        while chunk := await workers.run(reader.batch):
            yield chunk
    finally:
        reader.close()

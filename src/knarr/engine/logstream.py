"""Logs as a stream: what is there, then, if followed, what comes.

Law: reading blocks and runs in a worker, a block at a time; nothing polls: inotify says when the
log grows, the container's end says when it does not any more. The supervisor tells of an end only
after the last line is in the file, so one more reading after that is complete. When a file was
begun, it is opened at once, however slowly the client reads, see ``LogReader.hold``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.containers import logdrivers
from knarr.containers.files import ContainerDirectory
from knarr.containers.logs import LogReader, Selection

from .logwatch import Growth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from knarr.containers.record import Record

    from .live import LiveContainer, Outcome
    from .logwatch import LogWatch
    from .services import LogOptions
    from .workers import Workers


class Source(NamedTuple):
    """Where a log is, and in which form."""

    path: Path
    form: str


def source(record: Record, containers_root: Path) -> Source:
    """The log of a container; ``UnimplementedError`` if its driver keeps none."""
    form, path = logdrivers.readable(record, ContainerDirectory(containers_root, record.id))
    return Source(path, form)


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
    live: LiveContainer,
    log: Source,
    wanted: Selection,
    workers: Workers,
    *,
    watch: LogWatch | None = None,
) -> AsyncIterator[bytes]:
    """The chunks of the log; it ends with the log, or with the container if it is followed.

    It is followed with a ``watch``; with an ``until`` too, it ends at that moment.
    """
    if watch is None or not live.record.is_running:
        async for chunk in _present(log, wanted, workers):
            yield chunk
        return
    ended = live.next_exit()
    growth = Growth()
    number = watch.follow(log.path.parent, growth)
    ended.add_done_callback(lambda _ended: growth.ended())
    timer = None
    if wanted.until:
        seconds = max(0.0, (wanted.until - time.time_ns()) / 1e9)
        timer = asyncio.get_running_loop().call_later(seconds, growth.expire)
    try:
        reader = await workers.run(lambda: LogReader(log.path, wanted, log.form))
        growth.reader = reader
        try:
            async for chunk in followed(reader, workers, ended, growth):
                yield chunk
        finally:
            reader.close()
    finally:
        watch.leave(number, growth)
        if timer is not None:
            timer.cancel()
        ended.cancel()


async def followed(
    reader: LogReader, workers: Workers, ended: asyncio.Future[Outcome], growth: Growth
) -> AsyncIterator[bytes]:
    """The chunks until the end of the container, of the time or of what is wanted."""
    while not reader.finished:
        growth.noticed.clear()
        # Asked after the clearing and before the reading: an end that is told later sets it again.
        last = ended.done() or growth.expired
        while chunk := await workers.run(reader.batch):
            yield chunk
        if last:
            return
        await growth.noticed.wait()


async def _present(log: Source, wanted: Selection, workers: Workers) -> AsyncIterator[bytes]:
    reader = await workers.run(lambda: LogReader(log.path, wanted, log.form, present=True))
    try:
        while chunk := await workers.run(reader.batch):
            yield chunk
    finally:
        reader.close()

"""Logs as a stream: what is there, then, if followed, what comes.

Law: reading blocks and runs in a worker, a block at a time; nothing polls: inotify says when the
log grows, the container's end says when it does not any more. The supervisor tells of an end only
after the last line is in the file, so one more reading after that is complete. When a file was
begun, it is opened at once, however slowly the client reads, see ``LogReader.hold``.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.containers import logdrivers
from knarr.containers.files import ContainerDirectory
from knarr.containers.logs import LogReader, Selection
from knarr.sys import inotify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from knarr.containers.record import Record

    from .live import LiveContainer, Outcome
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
    live: LiveContainer, log: Source, wanted: Selection, workers: Workers, *, follow: bool
) -> AsyncIterator[bytes]:
    """The chunks of the log; it ends with the log, or with the container if it is followed.

    Followed with an ``until``, it ends at that moment.
    """
    if not follow or not live.record.is_running:
        async for chunk in _present(log, wanted, workers):
            yield chunk
        return
    ended = live.next_exit()
    watch = inotify.watch_directory(log.path.parent)
    growth = Growth(watch)
    ended.add_done_callback(lambda _ended: growth.ended())
    loop = asyncio.get_running_loop()
    timer = None
    if wanted.until:
        timer = loop.call_later(max(0.0, (wanted.until - time.time_ns()) / 1e9), growth.expire)
    loop.add_reader(watch, growth.grown)
    try:
        reader = await workers.run(lambda: LogReader(log.path, wanted, log.form))
        growth.reader = reader
        try:
            async for chunk in followed(reader, workers, ended, growth):
                yield chunk
        finally:
            reader.close()
    finally:
        loop.remove_reader(watch)
        if timer is not None:
            timer.cancel()
        os.close(watch)
        ended.cancel()


class Growth:
    """What is known of a log that grows: something came, or nothing more is wanted."""

    def __init__(self, watch: int) -> None:
        self._watch = watch
        self.reader: LogReader | None = None
        self.noticed = asyncio.Event()
        self.expired = False

    def grown(self) -> None:
        """inotify has something to tell."""
        if inotify.drain(self._watch) and self.reader is not None:
            self.reader.hold()
        self.noticed.set()

    def ended(self) -> None:
        """The container has ended, and may be removed at any moment."""
        if self.reader is not None:
            self.reader.hold()
        self.noticed.set()

    def expire(self) -> None:
        """The time that the client asked for is over."""
        self.expired = True
        self.noticed.set()


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

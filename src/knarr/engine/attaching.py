"""Attaching to the standard streams of a container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from knarr.api import detach
from knarr.containers import logdrivers
from knarr.errors import ConflictError

from . import about, logstream
from .services import Attachment, LogOptions

if TYPE_CHECKING:
    from .live import LiveContainer
    from .parts import Parts
    from .services import AttachOptions


async def attach(parts: Parts, live: LiveContainer, options: AttachOptions) -> Attachment:
    """The streams that are asked for; before a start, they begin with the first byte."""
    record = live.record
    if live.record.state.status.value == "paused":
        raise ConflictError(f"container {record.id} is paused, unpause the container before attach")
    if live.is_restarting:
        raise ConflictError(
            f"container {record.id} is restarting, wait until the container is running"
        )
    keys = detach.parse(options.detach_keys or "")
    tty = record.config.tty
    socket = None
    if options.stream:
        live.has_task = True
        socket = await parts.supervisor.attach(
            record.id,
            stdin=options.stdin and record.config.open_stdin,
            stdout=options.stdout,
            stderr=options.stderr,
            running=record.is_running,
        )
    logs = None
    if options.logs and logdrivers.is_readable(record):
        # What is written from now on comes through the socket.
        now = time.time_ns()
        wanted = LogOptions(stdout=options.stdout, stderr=options.stderr, until=now)
        source = logstream.source(record, parts.paths.containers)
        chosen = logstream.selection(wanted, tty=tty)
        logs = logstream.stream(live, source, chosen, parts.workers)
    parts.events.publish("container", "attach", record.id, about.container(record))

    def detached() -> None:
        parts.events.publish("container", "detach", record.id, about.container(record))

    return Attachment(tty, socket, logs, keys, detached)

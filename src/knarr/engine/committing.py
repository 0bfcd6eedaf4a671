"""The use case of committing: an image from what a container has changed.

Law: commits of one container take turns, so that the freeze of one does not end in the middle of
another. A container that is frozen for a commit is noted as such before it is, so that an engine
that finds it after a crash thaws it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from typing import TYPE_CHECKING

from knarr.containers.record import Status
from knarr.errors import ConflictError, InvalidArgumentError, KnarrError
from knarr.images import commits
from knarr.oci import reference as references
from knarr.sys import faults

from . import about

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import BinaryIO

    from knarr.api.containers import ContainerConfig
    from knarr.oci.reference import Reference

    from .live import LiveContainer
    from .parts import Parts
    from .services import CommitOptions

_log = logging.getLogger(__name__)


class Committing:
    """Commits containers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def commit(
        self, live: LiveContainer, options: CommitOptions, given: ContainerConfig | None
    ) -> str:
        """Make the image; its id. ``given`` is a configuration that comes before the container's.

        Raises ``InvalidArgumentError`` for a bad name or change, ``ConflictError`` for a container
        that is going away.
        """
        parts, record = self._parts, live.record
        _check_there(live)
        name = _name(options.repo, options.tag)
        config = commits.config(record.config, given, options.changes)

        def write(out: BinaryIO) -> None:
            parts.snapshots.diff(record.id, record.layers, out)

        wanted = commits.Commit(
            write,
            config,
            command=record.config.cmd or (),
            comment=options.comment,
            author=options.author,
        )
        turn = self._turns.setdefault(live.id, asyncio.Lock())
        async with turn, self._frozen(live) if options.pause else contextlib.nullcontext():
            faults.point("commit.frozen")
            made = await parts.workers.bulk(
                lambda: parts.images.commit(record.image_id, wanted, name)
            )
        shown = name.familiar() if name is not None else ""
        if shown:
            parts.events.publish("image", "tag", made, {"name": shown})
        told = about.container(record, comment=options.comment, imageID=made, imageRef=shown)
        parts.events.publish("container", "commit", live.id, told)
        return made

    @contextlib.asynccontextmanager
    async def _frozen(self, live: LiveContainer) -> AsyncIterator[None]:
        """The container does not run inside; one that did not before, or is paused, stays so."""
        started = await self._freeze(live)
        try:
            yield
        finally:
            if started is not None:
                await self._thaw(live, started)

    async def _freeze(self, live: LiveContainer) -> int | None:
        """Freeze it if it runs; when the run began that was frozen. A failure is only logged."""
        state = live.record.state
        async with live.lock:
            if state.status is not Status.RUNNING:
                return None
            state.frozen_for_commit = True
            await self._parts.containers.note(live)
            try:
                await self._parts.supervisor.pause(live.id)
            except KnarrError as error:
                _log.warning("container=%s is not frozen: %s", live.record.short_id, error)
                state.frozen_for_commit = False
                return None
            state.status = Status.PAUSED
            await self._parts.containers.note(live)
            started = state.started_ns
        self._publish(live, "pause")
        return started

    async def _thaw(self, live: LiveContainer, started: int) -> None:
        state = live.record.state
        async with live.lock:
            state.frozen_for_commit = False
            if state.status is not Status.PAUSED or state.started_ns != started:
                return
            await self._parts.supervisor.resume(live.id)
            state.status = Status.RUNNING
            await self._parts.containers.note(live)
        self._publish(live, "unpause")

    def _publish(self, live: LiveContainer, action: str) -> None:
        self._parts.events.publish("container", action, live.id, about.container(live.record))


def _check_there(live: LiveContainer) -> None:
    if live.record.state.status is Status.DEAD:
        raise ConflictError(f"You cannot commit container {live.id} which is Dead")
    if live.removing or live.record.state.status is Status.REMOVING:
        raise ConflictError(f"You cannot commit container {live.id} which is being removed")


def _name(repo: str, tag: str) -> Reference | None:
    if not repo:
        return None
    name = references.parse_normalized(repo)
    if name.digest is not None:
        raise InvalidArgumentError("cannot commit to digest reference")
    return name.with_tag(tag) if tag else name.with_default_tag()

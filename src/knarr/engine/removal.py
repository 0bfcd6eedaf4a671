"""Removal of containers.

Order: the writable layer goes to the trash, the record goes, then files and volumes; meanwhile
the supervisor forgets the task and removes its cgroup. A crash between leaves a record without a
writable layer, which the next start of the engine removes, or files without a record, which it
clears away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from knarr.containers.record import MountKind, Status
from knarr.content.failure import translated
from knarr.errors import ConflictError, KnarrError, NotFoundError
from knarr.sys import faults

from . import about

if TYPE_CHECKING:
    from knarr.containers.record import Record

    from .live import LiveContainer
    from .parts import Parts
    from .preparation import Preparation


_log = logging.getLogger(__name__)


class Removal:
    """Removes containers that do not run."""

    def __init__(self, parts: Parts, preparation: Preparation) -> None:
        self._parts = parts
        self._preparation = preparation

    async def remove(self, live: LiveContainer, *, volumes: bool = True) -> None:
        """Remove a stopped container, with ``volumes`` its anonymous volumes too.

        Raises ``ConflictError`` while it runs, or when it is being removed already.
        """
        if live.removing:
            raise ConflictError(f"removal of container {live.id} is already in progress")
        live.removing = True
        try:
            async with live.lock:
                _check_stopped(live)
                before = live.record.state.status
                live.record.state.status = Status.REMOVING
                try:
                    await self._remove(live, volumes=volumes)
                except BaseException:
                    live.record.state.status = before
                    raise
        except KnarrError as error:
            live.tell_failed_removal(error.message)
            raise
        finally:
            live.removing = False
        self._parts.containers.discard(live)
        self._parts.events.publish("container", "destroy", live.id, about.container(live.record))
        live.record.state.status = Status.DEAD
        live.tell_removal()

    async def _remove(self, live: LiveContainer, *, volumes: bool) -> None:
        record = live.record
        with contextlib.ExitStack() as claims:
            names = self._own_volumes(record, claims) if volumes else []
            erasing = self._parts.workers.run(lambda: self._erase(record, names))
            if live.has_task:
                gone, _ = await asyncio.gather(erasing, self._forget_task(record))
            else:
                gone = await erasing
        for name in gone:
            self._parts.events.publish("volume", "destroy", name, about.VOLUME)

    async def _forget_task(self, record: Record) -> None:
        """Beside the rest: what stays of a process that has ended, the next start takes up."""
        try:
            self._preparation.discard(record)
            await self._parts.supervisor.delete(record.id)
        except KnarrError as error:
            _log.warning("container=%s cleaning up failed: %s", record.short_id, error)

    def _own_volumes(self, record: Record, claims: contextlib.ExitStack) -> list[str]:
        """The anonymous volumes that no other container uses, claimed in order to remove them."""
        found = []
        for mount in record.mounts:
            if mount.kind is not MountKind.VOLUME or not mount.anonymous:
                continue
            try:
                claims.enter_context(self._parts.volumes.claims.removing(mount.name))
            except ConflictError:
                continue  # a container is being made that uses it, or it is going already
            if not any(_uses(live, mount.name, record.id) for live in self._parts.containers):
                found.append(mount.name)
        return found

    def _erase(self, record: Record, volumes: list[str]) -> list[str]:
        """In a worker: everything that is stored; the names of the volumes that went with it."""
        parts = self._parts
        with translated(f'remove container "{record.id}"'):
            parts.snapshots.remove(record.id)
            faults.point("rm.snapshot-gone")
            doomed = parts.database.containers.delete(record.id, durable=False)
            faults.point("rm.recorded")
            if parts.trash.put(parts.paths.containers / record.id):
                parts.trash.empty_soon()
        if doomed:
            parts.images.sweep()
        gone = []
        for name in volumes:
            with contextlib.suppress(NotFoundError):
                parts.volumes.remove(name)
                gone.append(name)
        return gone


def _uses(live: LiveContainer, volume: str, except_id: str) -> bool:
    return live.id != except_id and any(mount.name == volume for mount in live.record.mounts)


def _check_stopped(live: LiveContainer) -> None:
    status = live.record.state.status
    start = f'cannot remove container "/{live.name}": container is'
    if status is Status.PAUSED:
        raise ConflictError(f"{start} paused and must be unpaused first")
    if status is Status.RESTARTING:
        raise ConflictError(
            f"{start} restarting: stop the container before removing or force remove"
        )
    if status is Status.RUNNING:
        raise ConflictError(f"{start} running: stop the container before removing or force remove")

"""The first minutes of an engine: taking over what an earlier one left.

Cases, each the result of an engine that ended at some moment:

- a record says running and the supervisor has the process: it is taken over;
- the supervisor has an exit that no record knows: it is taken as if it came now;
- a record says running and nobody has the process (the host was started anew): it has ended;
- a record has no writable layer: it was being removed, and is removed;
- a process, a writable layer or a folder has no record: it was being made, or removed, and goes.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from typing import TYPE_CHECKING

from knarr.containers import assembly
from knarr.containers.record import Status
from knarr.errors import KnarrError
from knarr.supervisor.client import Started

from . import probing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from knarr.supervisor.client import TaskState

    from .health import Healths
    from .lifecycle import Lifecycle
    from .live import LiveContainer
    from .parts import Parts
    from .removal import Removal

_log = logging.getLogger(__name__)

_UNKNOWN_EXIT = 255
_SIGKILL = 9


class Restore:
    """Brings records, processes and files together again."""

    def __init__(
        self, parts: Parts, lifecycle: Lifecycle, removal: Removal, healths: Healths
    ) -> None:
        self._parts = parts
        self._healths = healths
        #: Those that are to be started again, and whether they were about to be anyway.
        self._wanted: list[tuple[LiveContainer, bool]] = []
        self._lifecycle = lifecycle
        self._removal = removal

    async def run(self) -> None:
        """Do everything; what fails for one container is logged and does not stop the others."""
        parts = self._parts
        parts.containers.restore(await parts.workers.run(parts.database.containers.all))
        found = await parts.supervisor.list()
        tasks = {task.id: task for task in found if not task.exec_id}
        await self._end_unknown(tasks)
        await self._end_probes(found)
        known = frozenset(live.id for live in parts.containers)
        snapshots = await parts.workers.run(lambda: self._clear(known))
        for live in parts.containers:
            with _reported(live):
                await self._take_over(live, tasks.get(live.id), has_snapshot=live.id in snapshots)
        # Not before all records are true: a container may join another one's namespaces.
        for live, was_restarting in self._wanted:
            self._lifecycle.resume(live, was_restarting=was_restarting)
        parts.supervisor.on_exit(self._lifecycle.on_exit)

    async def _end_unknown(self, tasks: Mapping[str, TaskState]) -> None:
        """Processes that no record knows: the engine ended while it removed or made them."""
        for container_id, task in tasks.items():
            if self._parts.containers.find(container_id) is not None:
                continue
            _log.warning("container=%s has a process but no record, ending it", container_id[:12])
            try:
                if task.exit is None:
                    await self._parts.supervisor.kill(container_id, _SIGKILL)
                else:
                    await self._parts.supervisor.delete(container_id)
            except KnarrError as error:
                _log.error("container=%s cannot be ended: %s", container_id[:12], error)

    async def _end_probes(self, tasks: Iterable[TaskState]) -> None:
        """Health checks that an earlier engine had under way: nobody wants their result."""
        for task in tasks:
            if task.exec_id and task.exit is None and probing.is_probe(task.id, task.exec_id):
                with contextlib.suppress(KnarrError):
                    await self._parts.supervisor.kill(task.id, _SIGKILL, task.exec_id)

    def _clear(self, known: frozenset[str]) -> frozenset[str]:
        """In a worker: drop what no record names; returns the writable layers that are there."""
        parts = self._parts
        snapshots = frozenset(parts.snapshots.all())
        for key in snapshots - known:
            _log.info("snapshot=%s has no container, removing it", key[:12])
            parts.snapshots.remove(key)
        for path in _children(parts.paths.containers):
            if path.name not in known:
                parts.trash.put(path)
        for path in _children(parts.paths.bundles):
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)
        assembly.recover(parts.paths.views)
        parts.volumes.recover()
        parts.trash.empty_soon()
        return snapshots

    async def _take_over(
        self, live: LiveContainer, task: TaskState | None, *, has_snapshot: bool
    ) -> None:
        state = live.record.state
        if task is not None:
            if task.exit is None:
                await self._adopt(live, task)
            return  # an exit comes through the callback
        if live.record.is_running:
            state.status, state.pid = Status.EXITED, 0
            state.exit_code, state.finished_ns = _UNKNOWN_EXIT, time.time_ns()
            if state.health is not None:
                self._healths.end(live)
            await self._parts.containers.note(live)
        was_restarting = state.status is Status.RESTARTING
        if was_restarting:
            state.status = Status.EXITED
        if not has_snapshot or (
            live.record.host_config.auto_remove and state.status is not Status.CREATED
        ):
            await self._removal.remove(live)
        elif self._is_wanted(live, was_restarting=was_restarting):
            state.status = Status.RESTARTING
            self._wanted.append((live, was_restarting))

    async def _adopt(self, live: LiveContainer, task: TaskState) -> None:
        """The process runs; the record may not know yet."""
        state = live.record.state
        if live.record.is_running and state.started_ns == task.started_ns:
            state.pid = task.pid
            if state.frozen_for_commit:
                await self._thaw(live)
            if live.record.config.healthcheck is not None:
                self._healths.take_over(live)
            return
        self._lifecycle.note_start(live, Started(task.pid, task.started_ns))
        await self._parts.containers.note(live)

    async def _thaw(self, live: LiveContainer) -> None:
        """The engine before ended in the middle of a commit, for which it had frozen this one."""
        state = live.record.state
        with contextlib.suppress(KnarrError):  # it may not have come so far
            await self._parts.supervisor.resume(live.id)
        state.status, state.frozen_for_commit = Status.RUNNING, False
        await self._parts.containers.note(live)

    def _is_wanted(self, live: LiveContainer, *, was_restarting: bool) -> bool:
        """Whether the restart policy wants it to run though the engine found it ended."""
        state, policy = live.record.state, live.record.host_config.restart_policy.name
        if state.status is Status.CREATED or state.stopped_by_user:
            # Docker starts ``always`` containers again even if they were stopped by hand.
            return policy == "always" and state.status is not Status.CREATED
        if policy in {"always", "unless-stopped"}:
            return True
        return policy == "on-failure" and (was_restarting or state.exit_code == _UNKNOWN_EXIT)


@contextlib.contextmanager
def _reported(live: LiveContainer) -> Iterator[None]:
    try:
        yield
    except (KnarrError, OSError) as error:
        _log.error("container=%s restore failed: %s", live.record.short_id, error)


def _children(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []

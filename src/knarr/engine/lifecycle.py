"""Start and end of a container's process, and the restart policy between them.

Law: the lock of the container is held while its record changes, never while its process is waited
for. The end of a process is taken in one place, ``ended``, whatever caused it: there the record is
stored before the supervisor may forget the exit, so that no crash between loses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from knarr.containers.record import Status
from knarr.errors import ConflictError, KnarrError, NotModifiedError, UnavailableError
from knarr.sys import faults

from . import about, joining, restarts, startfailure

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from knarr.containers.record import Record
    from knarr.containers.spec import Join
    from knarr.supervisor.client import Exit, Started

    from .health import Healths
    from .live import LiveContainer
    from .parts import Parts
    from .preparation import Preparation
    from .removal import Removal

_log = logging.getLogger(__name__)

#: How long a container that removes itself can still be asked about, in seconds.
_LINGER = 0.5
#: What an exec ends with that goes down with its container.
_KILLED = 137


class Lifecycle:
    """Starts containers and takes their ends."""

    def __init__(
        self, parts: Parts, preparation: Preparation, removal: Removal, healths: Healths
    ) -> None:
        self._parts = parts
        self._preparation = preparation
        self._removal = removal
        self._healths = healths
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self, live: LiveContainer) -> None:
        """Start the container; ``NotModifiedError`` when it runs.

        When it cannot be started, the error stays in its record; one that is to be removed at its
        end is removed now.
        """
        async with live.lock:
            _check_startable(live)
            _cancel_restart(live)
            live.record.state.stopped_by_user = False
            restarts.forget(live.record.state)
            failure = await self._try_start(live)
            if failure is None and live.record.host_config.restart_policy.name not in {"", "no"}:
                # From now on it is wanted, whatever happens to the machine.
                await self._parts.containers.save(live)
        if failure is None:
            return
        if live.record.host_config.auto_remove:
            await self._removal.remove(live)
        raise failure

    async def _try_start(self, live: LiveContainer) -> KnarrError | None:
        """Start it, under its lock; the error is returned when its record holds it."""
        record = live.record
        workers = self._parts.workers
        live.has_task = True
        await live.written()
        with contextlib.ExitStack() as until_started:
            try:
                join = joining.of(record, self._parts.containers)
                join = until_started.enter_context(self._with_network(record, join))
                prepared = await workers.run(lambda: self._preparation.prepare(record, join))
            except KnarrError as error:
                return await self._failed(live, error, error)
            try:
                started = await self._parts.supervisor.start(prepared.request)
            except KnarrError as error:
                return await self._failed(live, error, startfailure.of_container(error))
        faults.point("start.started")
        self.note_start(live, started)
        self._parts.containers.note_lazily(live)
        return None

    @contextlib.contextmanager
    def _with_network(self, record: Record, join: Join) -> Iterator[Join]:
        """Let the container join a network namespace that is ready, where it needs a new one.

        One without a ready one makes its own; so do the containers of other runtimes.
        """
        host = record.host_config
        needs_new = not join.network and host.network_mode != "host"
        own_runtime = self._parts.settings.runtime_words(host.runtime) is None
        ready = self._parts.namespaces.take() if needs_new and own_runtime else None
        if ready is None:
            yield join
            return
        try:
            yield join._replace(network=f"/proc/{os.getpid()}/fd/{ready}")
        finally:
            os.close(ready)

    async def _failed(self, live: LiveContainer, cause: KnarrError, told: KnarrError) -> KnarrError:
        state = live.record.state
        state.exit_code = startfailure.exit_code(cause)
        state.error = told.message
        _log.warning("container=%s start failed: %s", live.record.short_id, told)
        await self._forget_task(live)
        await self._parts.containers.note(live)
        return told

    def note_start(self, live: LiveContainer, started: Started) -> None:
        """Write down that the process runs."""
        state = live.record.state
        state.status = Status.RUNNING
        state.pid, state.started_ns = started.pid, started.started_ns
        state.exit_code, state.error, state.oom_killed = 0, "", False
        if live.record.config.healthcheck is not None:
            self._healths.begin(live)
        publish = self._parts.events.publish
        for network, attributes in about.connected(live.record):
            publish("network", "connect", network, attributes)
        for volume, attributes in about.mounted(live.record):
            publish("volume", "mount", volume, attributes)
        publish("container", "start", live.id, about.container(live.record))

    def on_exit(self, ended: Exit) -> None:
        """A process has ended; called by the supervisor's client, on the loop."""
        live = self._parts.containers.find(ended.id)
        if live is None:
            return
        if ended.exec_id:
            self._exec_ended(live, ended)
        else:
            self.spawn(self.ended(live, ended))

    def _exec_ended(self, live: LiveContainer, ended: Exit) -> None:
        started = live.execs.get(ended.exec_id)
        if started is None:
            return
        started.end(ended.exit_code)
        self._parts.events.publish(
            "container",
            "exec_die",
            live.id,
            about.container(live.record, execID=started.id, exitCode=str(ended.exit_code)),
        )

    async def ended(self, live: LiveContainer, ended: Exit) -> None:
        """The container's process has ended: record, events, then removal or another start."""
        async with live.lock:
            if not _is_news(live, ended):
                if live.record.state.status is Status.EXITED:
                    await self._forget_task(live)  # an engine before this one came not so far
                return
            self._note_end(live, ended)
            again = restarts.are_wanted(live.record)
            remove = live.record.host_config.auto_remove and not (again or live.is_kept)
            if again:
                restarts.plan(live.record.state)
            if not remove:
                await self._store_end(live)
                live.tell_exit()
                await self._forget_task(live)
        if remove:
            moment = self._lingers_for(live)
            live.tell_exit()
            if moment > 0:
                await self._linger(live, moment)
            await self._remove_at_end(live)
        elif again and not self._closing:
            pause = restarts.pause(live.record.state)
            live.restart = asyncio.create_task(self._restart_later(live, pause))

    def _lingers_for(self, live: LiveContainer) -> float:
        """Seconds in which a client may still ask how a container with ``--rm`` ended by itself.

        docker-py starts a container, then asks for its log, then waits for it: Docker is slow
        enough that all of it finds a container that ended at once and removes itself.
        """
        state = live.record.state
        if state.stopped_by_user or live.ending or live.is_asked_for or self._closing:
            return 0.0
        return _LINGER - (time.time_ns() - state.finished_ns) / 1e9

    async def _linger(self, live: LiveContainer, seconds: float) -> None:
        """Keep it so long, or until somebody has asked how it ended."""
        live.lingering = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(live.lingering.wait(), min(seconds, _LINGER))
        live.lingering = None

    async def _store_end(self, live: LiveContainer) -> None:
        """Store an end; that somebody wanted it must not be lost where a policy would restart."""
        record = live.record
        if record.state.stopped_by_user and record.host_config.restart_policy.name not in {
            "",
            "no",
        }:
            await self._parts.containers.save(live)
        else:
            await self._parts.containers.note(live)

    def _note_end(self, live: LiveContainer, ended: Exit) -> None:
        state = live.record.state
        state.status = Status.EXITED
        state.pid = 0
        state.started_ns = ended.started_ns or state.started_ns
        state.exit_code, state.error = ended.exit_code, ended.error
        state.oom_killed, state.finished_ns = ended.oom_killed, ended.finished_ns
        if state.health is not None:
            self._healths.end(live)
        for one in live.execs.values():
            if one.running:
                one.end(_KILLED)
        publish = self._parts.events.publish
        if ended.oom_killed:
            publish("container", "oom", live.id, about.container(live.record))
        for network, attributes in about.connected(live.record):
            publish("network", "disconnect", network, attributes)
        for volume, attributes in about.unmounted(live.record):
            publish("volume", "unmount", volume, attributes)
        seconds = max(0, ended.finished_ns - state.started_ns) // 1_000_000_000
        publish(
            "container",
            "die",
            live.id,
            about.container(live.record, exitCode=str(ended.exit_code), execDuration=str(seconds)),
        )

    async def _forget_task(self, live: LiveContainer) -> None:
        """Let supervisor and disk forget the process; what fails is taken up by the next start."""
        live.has_task = False  # before the request: an attach after it may leave something again
        try:
            await self._parts.supervisor.delete(live.id)
            self._preparation.discard(live.record)
        except KnarrError as error:
            live.has_task = True
            _log.warning("container=%s cleaning up failed: %s", live.record.short_id, error)

    async def _remove_at_end(self, live: LiveContainer) -> None:
        if live.removing or self._parts.containers.find(live.id) is not live:
            return  # somebody was faster
        try:
            await self._removal.remove(live)
        except KnarrError as error:
            _log.error("container=%s removal failed: %s", live.record.short_id, error)

    async def _restart_later(self, live: LiveContainer, pause: float) -> None:
        """Start it again after a pause, in seconds.

        When it cannot be started it stays ended, as in Docker, unless the engine itself was in
        trouble, or who it shares namespaces with is about to be started, too.
        """
        state = live.record.state
        task = live.restart
        while True:
            await asyncio.sleep(pause)
            async with live.lock:
                if state.status is not Status.RESTARTING or live.removing:
                    return
                if not joining.has_to_wait(live.record, self._parts.containers):
                    live.restart = None
                    if await self._start_again(live):
                        return
                    live.restart = task
                state.restart_streak += 1
                pause = restarts.pause(state)

    async def _start_again(self, live: LiveContainer) -> bool:
        """Try it; False when it is to be tried once more later."""
        state = live.record.state
        exit_code = state.exit_code
        failure = await self._try_start(live)
        if failure is None:
            return True
        state.exit_code = exit_code
        if isinstance(failure, UnavailableError) and not self._closing:
            return False
        state.status = Status.EXITED
        await self._parts.containers.note(live)
        live.tell_exit()
        return True

    def resume(self, live: LiveContainer, *, was_restarting: bool) -> None:
        """Start a container whose policy wants it to run, after a restart of the engine."""
        state = live.record.state
        pause = 0.0
        if was_restarting:
            pause = restarts.rest_of_pause(state, time.time_ns())
        else:
            restarts.forget(state)
        state.status = Status.RESTARTING
        live.restart = asyncio.create_task(self._restart_later(live, pause))

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something beside; ``close`` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    async def close(self) -> None:
        """Finish what is under way; nothing is started again after this."""
        self._closing = True
        for live in self._parts.containers:
            _cancel_restart(live)
            live.stop_lingering()
        if self._tasks:
            await asyncio.wait(self._tasks)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a background task failed", exc_info=error)


def _cancel_restart(live: LiveContainer) -> None:
    if live.restart is not None:
        live.restart.cancel()
        live.restart = None


def _is_news(live: LiveContainer, ended: Exit) -> bool:
    """Whether this exit is later than what the record knows."""
    state = live.record.state
    if state.status in {Status.RUNNING, Status.PAUSED}:
        return not ended.started_ns or ended.started_ns >= state.started_ns
    return ended.started_ns > state.started_ns


def _check_startable(live: LiveContainer) -> None:
    is_going = live.removing or live.lingering is not None
    if is_going or live.record.state.status in {Status.REMOVING, Status.DEAD}:
        raise ConflictError("container is marked for removal and cannot be started")
    if live.record.state.status is Status.PAUSED:
        raise ConflictError("cannot start a paused container, try unpause instead")
    if live.record.state.status is Status.RUNNING or live.is_restarting:
        raise NotModifiedError(f"container {live.id} is already running")

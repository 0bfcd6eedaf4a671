"""Watching the health of containers: when to check, and what follows from a result.

Law: a container without a health check has no monitor and costs nothing. One that is watched has
one timer on the loop, or one check under way, never both. What is known is in the record, so that
the next engine goes on where this one ended. A result that comes after its monitor was stopped
counts for nothing.

When a container that is to be ended or started anew for being unhealthy does not, the next failed
check asks again; while somebody else ends it, nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from knarr.containers.health import Health, OnFailure, check_of, on_failure
from knarr.containers.record import Status
from knarr.errors import KnarrError

from . import about

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from knarr.containers.health import Check, HealthStatus, Result

    from .eventbus import EventBus
    from .live import ContainerStore, LiveContainer

_log = logging.getLogger(__name__)
_SECOND = 1_000_000_000


class Clock(Protocol):
    """The time, and who calls back after some of it."""

    def now_ns(self) -> int:
        """Unix nanoseconds."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call once, on the loop."""
        ...


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Forget it."""
        ...


class LoopClock:
    """The clock of the host and the timers of the running loop."""

    def now_ns(self) -> int:
        """Unix nanoseconds."""
        return time.time_ns()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call once, on the loop."""
        return asyncio.get_running_loop().call_later(seconds, callback)


class Prober(Protocol):
    """Makes one check."""

    async def __call__(
        self, live: LiveContainer, check: Check, stopped: asyncio.Event
    ) -> Result | None:
        """Its result, None if there is none; whatever it is once ``stopped`` was set."""
        ...


class Actions(Protocol):
    """What may be done to a container that is unhealthy."""

    async def kill(self, live: LiveContainer, signal: str) -> None:
        """End it at once; its restart policy does not start it again."""
        ...

    async def stop(self, live: LiveContainer, *, grace: int | None, signal: str) -> None:
        """Ask it to end; its restart policy does not start it again."""
        ...

    async def replace(self, live: LiveContainer) -> None:
        """Ask it to end, so that it is started again."""
        ...


class Healths:
    """Makes the monitors of one engine, and carries out what they decide."""

    def __init__(
        self,
        containers: ContainerStore,
        events: EventBus,
        probe: Prober,
        actions: Actions,
        clock: Clock | None = None,
    ) -> None:
        self.containers = containers
        self.events = events
        self.probe = probe
        self.actions = actions
        self.clock = clock or LoopClock()
        self._checks: set[asyncio.Task[None]] = set()
        self._actions: set[asyncio.Task[None]] = set()

    def begin(self, live: LiveContainer) -> None:
        """A process has been started: watch it if it has a health check."""
        check = check_of(live.record.config, live.record.host_config)
        if check is None:
            live.monitor = None
            return
        state = live.record.state
        state.health = state.health.restarted() if state.health else Health()
        if live.monitor is not None:
            live.monitor.leave()
        live.monitor = Monitor(self, live, check)
        live.monitor.resume(state.started_ns)

    def take_over(self, live: LiveContainer) -> None:
        """A process that an earlier engine has watched: go on with what is known."""
        health = live.record.state.health
        if health is None:
            self.begin(live)
            return
        check = check_of(live.record.config, live.record.host_config)
        if check is None:
            return
        live.monitor = Monitor(self, live, check)
        if live.record.state.status is not Status.PAUSED:
            last = health.log[-1].end_ns if health.log else 0
            live.monitor.resume(max(live.record.state.started_ns, last))

    def end(self, live: LiveContainer) -> None:
        """A process has ended: look no more, and say so as Docker does."""
        state = live.record.state
        if live.monitor is not None:
            live.monitor.leave()
        if state.health is not None:
            state.health = state.health.unwatched()

    def look(self, work: Coroutine[None, None, None]) -> None:
        """Let a check be made beside."""
        _spawn(self._checks, work)

    def act(self, work: Coroutine[None, None, None]) -> None:
        """Let something be done about a container beside."""
        _spawn(self._actions, work)

    async def close(self) -> None:
        """Watch nothing any more, and let no check go on."""
        for live in self.containers:
            if live.monitor is not None:
                live.monitor.leave()
        for action in self._actions:
            action.cancel()
        if left := self._checks | self._actions:
            await asyncio.wait(left)


class Monitor:
    """Watches one container; every method but ``resume`` may be called at any time."""

    def __init__(self, healths: Healths, live: LiveContainer, check: Check) -> None:
        self._healths = healths
        self._live = live
        self._check = check
        self._timer: Timer | None = None
        #: Set for the check that is under way when its result is not wanted any more.
        self._stopped: asyncio.Event | None = None
        self._acting = False

    def resume(self, since_ns: int = 0) -> None:
        """Check it from now on: first when the pause after ``since_ns`` (or now) is over."""
        if self._timer is None and self._stopped is None:
            self._plan(since_ns)

    def stop(self) -> None:
        """It is frozen: look no more. For a caller that holds its lock."""
        self.leave()
        state = self._live.record.state
        if state.health is not None:
            state.health = state.health.unwatched()

    def leave(self) -> None:
        """Look no more, and change nothing: somebody else will go on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    def _plan(self, since_ns: int = 0) -> None:
        state, clock = self._live.record.state, self._healths.clock
        if state.health is None:
            return
        now = clock.now_ns()
        pause = self._check.pause(state.health.status, now - state.started_ns)
        # A clock that was set back must not keep the check waiting for longer than a pause.
        passed = max(0, now - (since_ns or now))
        self._timer = clock.call_later(max(0, pause - passed) / _SECOND, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._stopped = asyncio.Event()
        self._healths.look(self._look(self._stopped))

    async def _look(self, stopped: asyncio.Event) -> None:
        result = await self._healths.probe(self._live, self._check, stopped)
        async with self._live.lock:
            if stopped.is_set():
                return
            self._stopped = None
            changed = None if result is None else self._note(result)
            self._plan()
        if result is None:
            return
        if changed is not None:
            self._publish(changed)
        if self._check.has_failed(self._live.record.state.health):
            self._act(on_failure(self._live.record.host_config))

    def _note(self, result: Result) -> HealthStatus | None:
        """Write a result down; the status if it is another one than before."""
        state = self._live.record.state
        before = state.health or Health()
        state.health = before.after(result, self._check, state.started_ns)
        self._healths.containers.note_lazily(self._live)
        return state.health.status if state.health.status is not before.status else None

    def _publish(self, status: HealthStatus) -> None:
        record = self._live.record
        self._healths.events.publish(
            "container", f"health_status: {status}", record.id, about.container(record)
        )

    def _act(self, wanted: OnFailure) -> None:
        """Do what is wanted of an unhealthy container; ``update`` may have changed it."""
        live, actions = self._live, self._healths.actions
        if wanted is OnFailure.NONE or self._acting or live.ending:
            return
        work: Awaitable[None]
        if wanted is OnFailure.KILL:
            work = actions.kill(live, "KILL")
        elif wanted is OnFailure.STOP:
            work = actions.stop(live, grace=None, signal="")
        else:
            work = actions.replace(live)
        self._acting = True
        _log.info("container=%s is unhealthy: %s", live.record.short_id, wanted)
        self._healths.act(self._carry_out(work))

    async def _carry_out(self, work: Awaitable[None]) -> None:
        record = self._live.record
        try:
            await work
        except KnarrError as error:
            _log.warning("container=%s is unhealthy and goes on: %s", record.short_id, error)
        finally:
            self._acting = False


def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(_report)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("watching the health of a container failed", exc_info=error)

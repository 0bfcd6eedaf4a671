"""Signals to containers: stop, kill, and waiting for the end that follows.

Law: nothing polls. Whoever waits for an end registers before the signal is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal as signals_of_host
from typing import TYPE_CHECKING

from knarr.containers import signals
from knarr.containers.record import Status
from knarr.errors import (
    ConflictError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    KnarrError,
    NotModifiedError,
)

from . import about

if TYPE_CHECKING:
    from .live import LiveContainer, Outcome
    from .parts import Parts

_log = logging.getLogger(__name__)

_KILL_SECONDS = 30.0
_SIGKILL = int(signals_of_host.SIGKILL)
_SIGTERM = int(signals_of_host.SIGTERM)


class Ending:
    """Ends containers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def stop(self, live: LiveContainer, *, grace: int | None, signal: str) -> None:
        """Ask it to end, and kill it after ``grace`` seconds (-1: never); returns when it has.

        Raises ``NotModifiedError`` when it does not run.
        """
        number = signals.parse(signal) if signal else stop_signal(live)
        seconds = self._grace(live, grace)
        was_restarting = live.is_restarting
        if await self._begin(live):
            await self._end(live, number, seconds)
        elif not was_restarting:
            raise NotModifiedError(f"container {live.id} is not running")
        self._publish(live, "stop")

    async def replace(self, live: LiveContainer) -> None:
        """As ``stop``, by itself; whether it is started again is not decided here."""
        if live.record.is_running:
            await self._end(live, stop_signal(live), self._grace(live, None))

    async def _end(self, live: LiveContainer, number: int, seconds: float | None) -> None:
        ended = live.next_exit()
        live.ending += 1
        try:
            try:
                await self._signal(live, number)
            except KnarrError as error:
                _log.warning("container=%s signal %d: %s", live.record.short_id, number, error)
                seconds = 0.0  # it cannot be asked, only killed
            if not await _done(ended, seconds):
                await self._kill_and_wait(live, ended)
        finally:
            live.ending -= 1

    async def kill(self, live: LiveContainer, signal: str) -> None:
        """Send a signal; SIGKILL also waits for the end. ``ConflictError`` when it does not run."""
        number = _number(signal, live.name) if signal else _SIGKILL
        if not live.record.is_running and not live.is_restarting:
            raise ConflictError(
                f"cannot kill container: {live.name}: container {live.id} is not running"
            )
        if self._ends(live, number) and not await self._begin(live):
            return
        if live.is_restarting:
            return  # there is no process to tell
        if number == _SIGKILL:
            await self._kill_and_wait(live, live.next_exit())
        else:
            await self._signal(live, number)

    async def end(self, live: LiveContainer) -> None:
        """Kill it if it runs; returns when it does not."""
        if await self._begin(live):
            await self._kill_and_wait(live, live.next_exit())

    async def _begin(self, live: LiveContainer) -> bool:
        """Keep its restart policy from starting it again; False when it does not run."""
        async with live.lock:
            state = live.record.state
            if state.status is Status.RESTARTING:
                if live.restart is not None:
                    live.restart.cancel()
                    live.restart = None
                state.status = Status.EXITED
                state.stopped_by_user = True
                await self._parts.containers.note(live)
                live.tell_exit()
                return False
            if not live.record.is_running:
                return False
            state.stopped_by_user = True
            self._parts.containers.note_soon(live)
            return True

    async def _kill_and_wait(self, live: LiveContainer, ended: asyncio.Future[Outcome]) -> None:
        await self._signal(live, _SIGKILL)
        if not await _done(ended, _KILL_SECONDS):
            raise InternalError(
                f"tried to kill container {live.id}, but did not receive an exit event"
            )

    async def _signal(self, live: LiveContainer, number: int) -> None:
        """Send it; a process that has just ended is no error. A frozen one is thawed to get it."""
        try:
            await self._parts.supervisor.kill(live.id, number)
        except FailedPreconditionError:
            return
        self._publish(live, "kill", signal=str(number))
        if live.record.state.status is Status.PAUSED:
            await self._thaw(live)

    async def _thaw(self, live: LiveContainer) -> None:
        """Let it get the signal; it may have ended, or be thawed, by the time this is done."""
        with contextlib.suppress(FailedPreconditionError):
            await self._parts.supervisor.resume(live.id)
        if live.record.state.status is not Status.PAUSED:
            return
        live.record.state.status = Status.RUNNING
        if live.monitor is not None:
            live.monitor.resume()
        self._publish(live, "unpause")

    @staticmethod
    def _ends(live: LiveContainer, number: int) -> bool:
        """Whether a signal says that the container shall not be started again by its policy.

        As in Docker, every signal does unless the container has a stop signal of its own.
        """
        own = live.record.config.stop_signal
        return number == _SIGKILL or not own or number == signals.parse(own)

    def _publish(self, live: LiveContainer, action: str, **more: str) -> None:
        attributes = about.container(live.record, **more)
        self._parts.events.publish("container", action, live.id, attributes)

    def _grace(self, live: LiveContainer, asked: int | None) -> float | None:
        own = live.record.config.stop_timeout
        seconds = next(
            value for value in (asked, own, self._parts.settings.stop_seconds) if value is not None
        )
        return None if seconds < 0 else float(seconds)


def stop_signal(live: LiveContainer) -> int:
    """The signal that asks this container to end."""
    wanted = live.record.config.stop_signal
    return signals.parse(wanted) if wanted else _SIGTERM


def _number(signal: str, name: str) -> int:
    if signal.isascii() and signal.isdecimal() and int(signal[:9]) > signals.HIGHEST:
        raise InvalidArgumentError(
            f"cannot kill container: {name}: the linux daemon does not support signal {signal}"
        )
    return signals.parse(signal)


async def _done(future: asyncio.Future[Outcome], seconds: float | None) -> bool:
    """Whether it was done in time; it goes on otherwise."""
    done, _ = await asyncio.wait([future], timeout=seconds)
    return bool(done)

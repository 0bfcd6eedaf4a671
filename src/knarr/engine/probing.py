"""One check of a container's health: a process in it, its output, its exit code.

Law: whatever goes wrong in the container is a result, with the exit code -1; trouble of the engine
with its supervisor is none. A check that takes too long is killed
with all that it has started; so is one whose result is not wanted any more. While one does not
end for all that, no other is begun. The time that it takes to start does not count, but has a
limit of its own.

The ids of these processes begin like that of their container: so the next engine knows those that
were under way when this one was killed, and ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from knarr.api import timestamps
from knarr.api.exec import ExecCreateRequest
from knarr.containers.health import NO_EXIT_CODE, OUTPUT_LIMIT, Result
from knarr.errors import (
    FailedPreconditionError,
    InternalError,
    KnarrError,
    UnavailableError,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from knarr.containers.health import Check
    from knarr.supervisor.client import SupervisorClient

    from .execs import Execs
    from .live import Exec, LiveContainer

_log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
_MARK = 16
_START_SECONDS = 30.0
_KILL_SECONDS = 5.0
#: How long the last output may take after the end.
_DRAIN_SECONDS = 1.0
#: A check that was killed may be the first that is heard of the end of its container.
_FATE_SECONDS = 0.5
_KILLED = 137
_SIGKILL = 9
_CHUNK = 16 * 1024
_HEADER = 8


def is_probe(container_id: str, exec_id: str) -> bool:
    """Whether a process of a container was started for its health check."""
    return exec_id.startswith(container_id[:_MARK])


class Probing:
    """Makes checks; a ``health.Prober``."""

    def __init__(self, execs: Execs, supervisor: SupervisorClient) -> None:
        self._execs = execs
        self._supervisor = supervisor
        #: The last check of each container, which is still known as one of its execs.
        self._last: WeakKeyDictionary[LiveContainer, Exec] = WeakKeyDictionary()
        self._late: set[asyncio.Future[None]] = set()

    async def __call__(
        self, live: LiveContainer, check: Check, stopped: asyncio.Event
    ) -> Result | None:
        """Make one check; None when there is no result that says anything of the container."""
        begun = time.time_ns()
        try:
            code, output = await self._check(live, check, stopped)
        except UnavailableError as error:
            _log.warning("container=%s health check not made: %s", live.record.short_id, error)
            return None
        except (KnarrError, OSError) as error:
            code, output = NO_EXIT_CODE, getattr(error, "message", str(error))
        return Result(start_ns=begun, end_ns=time.time_ns(), exit_code=code, output=output)

    async def _check(
        self, live: LiveContainer, check: Check, stopped: asyncio.Event
    ) -> tuple[int, str]:
        last = self._last.pop(live, None)
        if last is not None and last.running:
            self._last[live] = last
            return NO_EXIT_CODE, "the health check before this one has still not ended"
        if last is not None:
            live.execs.pop(last.id, None)
        request = ExecCreateRequest(attach_stdout=True, attach_stderr=True, cmd=list(check.command))
        exec_id = live.id[:_MARK] + secrets.token_hex(32)[_MARK:]
        one = self._last[live] = self._execs.add(live, request, exec_id)
        attached = await self._execs.start(exec_id, detach=False)
        if attached is None or attached.socket is None or attached.begin is None:
            raise InternalError("the health check has no output")
        output = Output()
        reading = asyncio.create_task(output.read(attached.socket))
        try:
            if not await self._start(live, one, attached.begin):
                return NO_EXIT_CODE, f"timed out starting health check for container {live.id}"
            code = await self._end(live, one, check, stopped)
            await asyncio.wait([reading], timeout=_DRAIN_SECONDS if code is not None else 0)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            attached.socket.close()
        if code is not None:
            return code, output.text
        taken = f"Health check exceeded timeout ({timestamps.duration_text(check.timeout)})"
        return NO_EXIT_CODE, f"{taken}: {output.text}" if output.text else taken

    async def _start(
        self, live: LiveContainer, one: Exec, begin: Callable[[], Awaitable[None]]
    ) -> bool:
        """Start the process in time; one that comes too late is killed when it has come."""
        starting = asyncio.ensure_future(begin())
        done, _ = await asyncio.wait([starting], timeout=_START_SECONDS)
        if done:
            starting.result()
            return True

        def late(starting: asyncio.Future[None]) -> None:
            if not starting.cancelled() and starting.exception() is None:
                self._late.add(killing := asyncio.ensure_future(self._kill(live, one)))
                killing.add_done_callback(self._late.discard)

        starting.add_done_callback(late)
        return False

    async def _end(
        self, live: LiveContainer, one: Exec, check: Check, stopped: asyncio.Event
    ) -> int | None:
        """Its exit code; None when it was killed because it took too long, or was ``stopped``."""
        ended = asyncio.ensure_future(one.ended())
        stopping = asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait(
                [ended, stopping],
                timeout=check.timeout / _SECOND,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ended.done():
                if one.exit_code == _KILLED:
                    await asyncio.wait([stopping], timeout=_FATE_SECONDS)
                return one.exit_code
            await self._kill(live, one)
            if not stopping.done():
                await asyncio.wait([ended], timeout=_KILL_SECONDS)
            return None
        finally:
            ended.cancel()
            stopping.cancel()

    async def _kill(self, live: LiveContainer, one: Exec) -> None:
        try:
            try:
                await self._supervisor.kill(live.id, _SIGKILL, one.id)
            except UnavailableError:
                await self._supervisor.kill(live.id, _SIGKILL, one.id)  # of the next one
        except FailedPreconditionError:
            return  # it has just ended
        except KnarrError as error:
            _log.warning("container=%s killing its health check: %s", live.record.short_id, error)


class Output:
    """What a check writes: the beginning is kept, the rest read and dropped."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._header = bytearray()
        self._left = 0
        self._is_cut = False

    @property
    def text(self) -> str:
        """What was kept; with dots at the end when that is not all."""
        text = self._kept.decode(errors="replace")
        return f"{text}..." if self._is_cut else text

    async def read(self, sock: socket.socket) -> None:
        """Take frames of standard output and error until the end."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(sock, _CHUNK):
                self.feed(data)

    def feed(self, data: bytes) -> None:
        """Take a part of the stream: headers of eight bytes, each with the length that follows."""
        view = memoryview(data)
        while view:
            if not self._left:
                missing = _HEADER - len(self._header)
                self._header += view[:missing]
                view = view[missing:]
                if len(self._header) == _HEADER:
                    self._left = int.from_bytes(self._header[4:], "big")
                    self._header.clear()
                continue
            part, view = view[: self._left], view[self._left :]
            self._left -= len(part)
            room = OUTPUT_LIMIT - len(self._kept)
            self._kept += part[:room]
            self._is_cut = self._is_cut or len(part) > room

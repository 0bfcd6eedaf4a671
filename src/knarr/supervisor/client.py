"""The engine's side of the supervisor.

Law: the engine holds duplicates of the descriptors of every running process, so that no container
dies of SIGPIPE or of a hang-up when the supervisor does. When it does, this client starts the next
supervisor and hands the descriptors over. A start that was under way is found to have succeeded or
fails with ``UnavailableError``, and then left nothing; a kill fails so, too; other and later
requests wait until the new supervisor answers. Every exit is reported to the callback once in the
life of a client, also those that happened while nobody was connected.

Not thread-safe: everything runs on the loop that called ``ensure``.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from knarr.errors import InternalError, KnarrError, UnavailableError
from knarr.supervisor import launch, protocol
from knarr.supervisor.channel import Channel
from knarr.supervisor.held import HeldDescriptors
from knarr.supervisor.messages import (
    ExecRequest,
    Exit,
    LogConfig,
    Started,
    StartRequest,
    TaskState,
    task_state,
    unknown_exit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from knarr.oci.runtime_spec import Resources

__all__ = [
    "ExecRequest",
    "Exit",
    "LogConfig",
    "StartRequest",
    "Started",
    "SupervisorClient",
    "TaskState",
]

_log = logging.getLogger(__name__)
_RECONNECT_SECONDS = (0.0, 0.05, 0.2, 1.0, 3.0, 10.0)
_CONNECT_ATTEMPTS = 3
_WAIT_SECONDS = 20.0
# What does no harm when it is done twice is asked again of the next supervisor.
_REPEATABLE = frozenset(("attach", "delete", "discard", "list", "pause", "resize", "resume"))


class SupervisorClient:
    """A connection to the one supervisor of an exec-root, kept up until ``close``."""

    def __init__(
        self,
        exec_root: Path,
        data_root: Path | None = None,
        command: tuple[str, ...] = launch.COMMAND,
    ) -> None:
        self._exec_root = exec_root
        self._data_root = data_root
        self._command = command
        self._channel: Channel | None = None
        self._connected = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._held = HeldDescriptors()
        self._callback: Callable[[Exit], None] | None = None
        self._waiting: deque[Exit] = deque()
        self._reported: set[tuple[str, str, int]] = set()
        self._discarding: set[asyncio.Task[None]] = set()
        self._leaving = False
        self.pid = 0

    @classmethod
    async def ensure(
        cls,
        exec_root: Path,
        *,
        data_root: Path | None = None,
        command: tuple[str, ...] = launch.COMMAND,
    ) -> Self:
        """Connect to the supervisor of ``exec_root``; start one (by ``command``) if none answers.

        Raises ``UnavailableError`` when it cannot be started.
        """
        client = cls(exec_root, data_root, command)
        for attempt in range(_CONNECT_ATTEMPTS):
            try:
                await client._connect()
            except UnavailableError:
                # One that has just ended for want of work may have been met.
                if attempt + 1 == _CONNECT_ATTEMPTS:
                    raise
            else:
                break
        return client

    async def close(self) -> None:
        """Let go of the supervisor, which goes on with its containers."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])
        for task in self._discarding:
            task.cancel()
        if self._discarding:
            await asyncio.wait(self._discarding)
        if self._channel is not None:
            self._channel.close()
        self._held.close()

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Report every exit to ``callback``, first those that are known already.

        It is called on the loop, for a start by this client after ``start`` has returned.
        The record of an exec is discarded afterwards; that of a container is kept until
        ``delete``.
        """
        self._callback = callback
        waiting, self._waiting = self._waiting, deque()
        for known in waiting:
            self._deliver(known)

    async def start(self, request: StartRequest) -> Started:
        """Start a container; returns when its program has been executed.

        Raises the error of the runtime (``NotFoundError`` when the program does not exist,
        ``PermissionDeniedError`` when it cannot be executed), ``ConflictError`` when a process of
        that id runs.
        """
        return await self._start("start", (request.id, ""), request._asdict())

    async def exec(self, request: ExecRequest) -> Started:
        """Run a process in a running container; errors as ``start``."""
        key = (request.container_id, request.exec_id)
        return await self._start("exec", key, request._asdict())

    async def attach(
        self,
        container_id: str,
        exec_id: str | None = None,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        running: bool = False,
    ) -> socket.socket:
        """A non-blocking stream socket to the stdio of a process; the caller closes it.

        Output comes framed as Docker's stdcopy, or raw when the process has a terminal, and ends
        with the process; what is written goes to its input, and shutting down writing is its end.
        It may be asked for before the process is started, and then gets everything from its
        first byte; with ``running`` it raises ``FailedPreconditionError`` unless the process runs.
        Closing it only detaches.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs:
                await self._request(
                    "attach",
                    (theirs.fileno(),),
                    id=container_id,
                    exec_id=exec_id or "",
                    streams=[stdin, stdout, stderr],
                    running=running,
                )
        except BaseException:
            ours.close()
            raise
        ours.settimeout(0)
        return ours

    async def kill(self, container_id: str, signal: int, exec_id: str | None = None) -> None:
        """Send a signal to the process; ``FailedPreconditionError`` when it has ended."""
        await self._request("kill", id=container_id, exec_id=exec_id or "", signal=signal)

    async def resize(self, container_id: str, exec_id: str | None, height: int, width: int) -> None:
        """Set the size of the terminal of the process, in characters."""
        await self._request("resize", id=container_id, exec_id=exec_id or "", size=[height, width])

    async def delete(self, container_id: str) -> None:
        """Forget a container that has ended, with its execs: its exit is known to the engine.

        Also removes its cgroup and what the runtime keeps of it. An unknown id is no error.
        ``FailedPreconditionError`` while it runs.
        """
        await self._request("delete", id=container_id)
        self._reported = {key for key in self._reported if key[0] != container_id}

    async def list(self) -> tuple[TaskState, ...]:
        """All processes that run or whose exit was not deleted yet."""
        return tuple(task_state(state) for state in await self._request("list"))

    async def pause(self, container_id: str) -> None:
        """Freeze all processes of the container."""
        await self._request("pause", id=container_id)

    async def resume(self, container_id: str) -> None:
        """Thaw all processes of the container."""
        await self._request("resume", id=container_id)

    async def update(self, container_id: str, resources: Resources) -> None:
        """Let the runtime of the container change the limits that ``resources`` names."""
        await self._request("update", id=container_id, resources=resources)

    async def shutdown(self) -> None:
        """Ask the supervisor to end; ``FailedPreconditionError`` while containers run.

        Nothing but ``close`` can be called afterwards.
        """
        self._leaving = True
        try:
            await self._request("shutdown")
        except KnarrError:
            self._leaving = False
            raise

    async def _start(self, op: str, key: tuple[str, str], request: dict[str, Any]) -> Started:
        """Start a process; if the supervisor dies meanwhile, the next one says how it went."""
        since = time.time_ns()
        try:
            pid, started_ns, warnings = await self._request(op, request=request)
        except UnavailableError:
            for state in await self.list():
                if (state.id, state.exec_id) == key and state.started_ns >= since:
                    return Started(state.pid, state.started_ns)
            raise
        return Started(pid, started_ns, tuple(warnings))

    async def _request(self, op: str, fds: tuple[int, ...] = (), **fields: Any) -> Any:
        if not self._connected.is_set():
            try:
                await asyncio.wait_for(self._connected.wait(), _WAIT_SECONDS)
            except TimeoutError as error:
                raise UnavailableError(
                    "the supervisor does not answer", hint="try again"
                ) from error
        if self._channel is None:
            raise InternalError("the client of the supervisor is closed")
        try:
            return await self._channel.request(op, fds, **fields)
        except UnavailableError:
            if op not in _REPEATABLE or self._leaving:
                raise
        return await self._request(op, fds, **fields)

    async def _connect(self) -> None:
        sock = launch.connect(self._exec_root)
        if sock is None:
            await launch.launch(self._exec_root, self._data_root, self._command)
            sock = launch.connect(self._exec_root)
            if sock is None:
                raise UnavailableError("the supervisor started, but does not listen")
        channel = Channel(sock, self._event, self._lost)
        try:
            await self._greet(channel)
        except BaseException:
            channel.close()
            raise
        self._channel = channel
        self._connected.set()

    async def _greet(self, channel: Channel) -> None:
        """Hand over what is held here, and learn what has happened."""
        hello = await channel.request("hello", version=protocol.VERSION)
        self.pid = int(hello["pid"])
        for id_, exec_id in hello["orphans"]:
            roles, fds = self._held.of(id_, exec_id)
            if fds:
                await channel.request("adopt", fds, id=id_, exec_id=exec_id, roles=roles)
        held = [(id_, exec_id) for id_, exec_id, _ in self._held.tasks()]
        answer = await channel.request("sync", held=held)
        states = tuple(task_state(state) for state in answer)
        self._forget_unknown(states)
        for state in states:
            if state.exit is not None:
                self._report(state.exit)

    def _forget_unknown(self, states: tuple[TaskState, ...]) -> None:
        """Report processes whose state the new supervisor has not found: nobody else will."""
        known = {(state.id, state.exec_id) for state in states}
        for id_, exec_id, started_ns in self._held.tasks():
            if (id_, exec_id) not in known:
                error = "the state of the process was lost"
                self._report(unknown_exit(id_, exec_id, started_ns, error))

    def _lost(self) -> None:
        if not self._connected.is_set():
            return  # who is connecting sees it by the failure of its request
        self._connected.clear()
        if not self._leaving and (self._recovery is None or self._recovery.done()):
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        """Bring the next supervisor up; without one nothing works, so this never gives up."""
        for pause in itertools.chain(_RECONNECT_SECONDS, itertools.repeat(_RECONNECT_SECONDS[-1])):
            await asyncio.sleep(pause)
            try:
                await self._connect()
            except (KnarrError, OSError) as error:
                _log.warning("the supervisor cannot be started again: %s", error)
            else:
                return

    def _event(self, packet: protocol.Packet, fds: Sequence[int]) -> None:
        kind = packet["event"]
        if kind == "task":
            self._held.put(task_state(packet["task"]), packet["roles"], fds)
            return
        protocol.close_all(fds)
        if kind == "exit":
            self._report(Exit(*packet["exit"]))
        elif kind == "stdin-closed":
            self._held.drop(packet["id"], packet["exec_id"], "stdin")

    def _report(self, ended: Exit) -> None:
        key = (ended.id, ended.exec_id, ended.started_ns)
        self._held.forget(ended.id, ended.exec_id)
        if key in self._reported:
            return
        self._reported.add(key)
        # Through the loop's queue, so that whoever awaits ``start`` runs first.
        asyncio.get_running_loop().call_soon(self._deliver, ended)

    def _deliver(self, ended: Exit) -> None:
        if self._callback is None:
            self._waiting.append(ended)
            return
        self._callback(ended)
        if ended.exec_id and not self._connected.is_set():
            return
        if ended.exec_id:
            task = asyncio.create_task(self._discard(ended))
            self._discarding.add(task)
            task.add_done_callback(self._discarding.discard)

    async def _discard(self, ended: Exit) -> None:
        """The record of an exec has served when it was reported."""
        try:
            await self._request("discard", id=ended.id, exec_id=ended.exec_id)
        except KnarrError:
            return
        self._reported.discard((ended.id, ended.exec_id, ended.started_ns))

"""The supervisor as a process: its lock, its socket, its signals, its end.

One for each exec-root: it holds ``supervisor.lock`` and waits for an earlier one that is about to
end. It ignores SIGTERM, SIGINT and SIGHUP: containers must not lose their parent because somebody
ends a session. It ends by itself when nothing runs and nobody is connected for ``idle_seconds``,
or when the engine asks for it; what has ended is on disk and is told by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import UnavailableError
from knarr.supervisor import server as sockets
from knarr.supervisor.loop import Loop, Timer
from knarr.supervisor.operations import Operations, announce
from knarr.supervisor.protocol import READY, SOCKET_NAME
from knarr.supervisor.server import Server
from knarr.supervisor.state import Store
from knarr.supervisor.supervisor import Supervisor
from knarr.supervisor.workers import Workers
from knarr.sys import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.supervisor.protocol import Packet
    from knarr.supervisor.runtimes import Runtime

LOCK_NAME = "supervisor.lock"
IDLE_SECONDS = 5.0
_ORPHAN_SECONDS = 10.0
_LOCK_SECONDS = 5.0
_LOCK_PAUSE_SECONDS = 0.02


class Settings(NamedTuple):
    """How to run. ``ready_fd`` gets ``READY`` and is closed when the socket listens."""

    exec_root: str
    idle_seconds: float = IDLE_SECONDS
    ready_fd: int = -1


def serve(settings: Settings, runtime: Callable[[tuple[str, ...] | None], Runtime]) -> None:
    """Be the supervisor until nothing is left to do; return at once if another one serves.

    ``runtime`` gives the runtime for a program and its arguments, None for knarr's own. Raises
    ``UnavailableError`` when another process has the lock for long without serving.
    """
    settings = settings._replace(exec_root=os.path.abspath(settings.exec_root))
    os.makedirs(settings.exec_root, 0o711, exist_ok=True)
    os.chdir("/")
    memory.one_arena()
    _allow_descriptors()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if _lock(settings):
        _Process(settings, runtime).run()
    else:
        _say_ready(settings.ready_fd)


def complain(text: str) -> None:
    """Say something on standard error, which is ``supervisor.log``, with the time."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{stamp} {text}\n".encode(errors="replace"))


class _Process:
    def __init__(
        self, settings: Settings, runtime: Callable[[tuple[str, ...] | None], Runtime]
    ) -> None:
        self._settings = settings
        self._loop = Loop(_report)
        workers = Workers(self._loop)
        store = Store(settings.exec_root)
        self._supervisor = Supervisor(self._loop, workers, store, runtime, complain)
        self._supervisor.load()
        operations = Operations(self._supervisor, self._loop, workers, runtime, self._stop)
        listener = sockets.listen(settings.exec_root, SOCKET_NAME)
        self._server = Server(self._loop, listener, operations.handle, self._maybe_idle)
        self._supervisor.notify = self._notify
        self._supervisor.on_idle = self._maybe_idle
        self._timer: Timer | None = None

    def run(self) -> None:
        self._maybe_idle()
        if self._supervisor.orphans():
            # For the engine to hand over what it holds; it was started by one, so this is rare.
            self._loop.call_later(_ORPHAN_SECONDS, self._supervisor.adopt_rest)
        _say_ready(self._settings.ready_fd)
        memory.settle()
        self._loop.run()
        self._server.close()
        self._loop.close()

    def _notify(self, packet: Packet, handles: Mapping[str, int]) -> None:
        for connection in self._server.synced():
            announce(connection, packet, handles)

    def _maybe_idle(self) -> None:
        """Look again in ``idle_seconds`` when there is nothing to do now."""
        if self._timer is None and self._is_idle():
            self._timer = self._loop.call_later(self._settings.idle_seconds, self._still_idle)

    def _still_idle(self) -> None:
        self._timer = None
        if self._is_idle():
            self._stop()

    def _is_idle(self) -> bool:
        return self._supervisor.idle and not self._server.connected

    def _stop(self) -> None:
        # Without its name nobody new can come; who is in the queue already is disconnected.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._settings.exec_root}/{SOCKET_NAME}")
        self._loop.stop()


def _allow_descriptors() -> None:
    """Raise the limit of open files to the hard one: every container takes four to six."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        complain(f"the limit of open files cannot be raised to {hard}: {error}")


def _say_ready(fd: int) -> None:
    if fd >= 0:
        os.write(fd, READY)
        os.close(fd)


def _report(error: Exception) -> None:
    complain("a callback failed:")
    # Not the module of that name: it would cost half a megabyte for what never happens.
    sys.excepthook(type(error), error, error.__traceback__)


def _lock(settings: Settings) -> bool:
    """Take the lock of the exec-root, held until the process ends; False if another one serves.

    Who has the lock and does not listen has just been started or is about to end: only then this
    waits, and looks again now and then.
    """
    path = f"{settings.exec_root}/{LOCK_NAME}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if sockets.answers(settings.exec_root, SOCKET_NAME):
                return False
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return True
    raise UnavailableError("another supervisor has the lock of this exec-root and does not answer")

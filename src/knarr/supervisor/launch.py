"""Starting the supervisor process from the engine.

Law: the engine never forks: the process is made by posix_spawn(3) in a session of its own, with
nothing but ``/dev/null``, its log file and one pipe on which it says that it listens. It does not
inherit the terminal, the sockets or the standard error of the engine, so that it can outlive it.
The engine is its parent and must reap it: ``reap_later``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from knarr.errors import UnavailableError
from knarr.supervisor.protocol import READY, SOCKET_NAME

if TYPE_CHECKING:
    from pathlib import Path

LOG_NAME = "supervisor.log"
COMMAND = (sys.executable, "-I", "-m", "knarr.supervisor.main")
_READY_FD = 3
_START_SECONDS = 15.0


def connect(exec_root: Path) -> socket.socket | None:
    """A non-blocking connection to the supervisor of ``exec_root``; None when none listens.

    The path is taken through a descriptor of the directory, because ``sun_path`` holds 107 bytes
    only (unix(7)).
    """
    try:
        folder = os.open(exec_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(folder)
    sock.settimeout(0)
    return sock


async def launch(
    exec_root: Path, data_root: Path | None, command: tuple[str, ...] = COMMAND
) -> int:
    """Start a supervisor for ``exec_root`` and wait until it listens; its pid.

    Raises ``UnavailableError`` with the end of its log when it does not come up.
    """
    os.makedirs(exec_root, 0o711, exist_ok=True)
    arguments = [*command, "--exec-root", str(exec_root), "--ready-fd", str(_READY_FD)]
    if data_root is not None:
        arguments += ["--data-root", str(data_root)]
    ready, child_end = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            pid = _spawn(arguments, exec_root / LOG_NAME, child_end)
        finally:
            os.close(child_end)
        reap_later(pid)
        if await _first_bytes(ready) != READY:
            raise UnavailableError(
                "the supervisor did not start",
                hint=f"see {exec_root / LOG_NAME}: {_last_line(exec_root / LOG_NAME)}",
            )
    finally:
        os.close(ready)
    return pid


def reap_later(pid: int) -> None:
    """Take the exit status of the child ``pid`` when it ends, so that it stays no zombie."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(pid)

    def reap() -> None:
        loop.remove_reader(pidfd)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)

    loop.add_reader(pidfd, reap)


def _spawn(arguments: list[str], log: Path, ready: int) -> int:
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        arguments[0],
        arguments,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, ready, _READY_FD),
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(log), append, 0o600),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD],
    )


async def _first_bytes(fd: int) -> bytes:
    """What stands in the pipe first; empty when it was closed or stayed silent."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, readable)
    try:
        await asyncio.wait_for(readable, _START_SECONDS)
        return os.read(fd, len(READY))
    except TimeoutError:
        return b""
    finally:
        loop.remove_reader(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else "nothing was logged"

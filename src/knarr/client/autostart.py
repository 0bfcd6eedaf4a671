"""Starts an engine in the background when nobody chose one and none answers.

The engine says that it is ready as it says it to systemd (sd_notify(3)): it sends ``READY=1`` to
the socket that ``NOTIFY_SOCKET`` names. So there is nothing to poll. If two command lines start an
engine at once, the second engine finds the first and ends; its caller then finds the first, too.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
import time

from knarr.client.connection import NoEngineError, connect
from knarr.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.client.address import Address

LOG = "/var/log/knarr.log"
_PATIENCE = 60.0
_PATIENCE_WITH_ANOTHER = 5.0
_STEP = 0.05
_ABSTRACT = "@"
_DEFAULTED = (1, 2, 3, 13, 15)
"""SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM: a shell's background job ignores some of them."""


def engine_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs the engine with this interpreter."""
    return program_command("knarr.daemon", arguments)


def program_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module with this interpreter.

    The current directory must not be searched for modules: ``-I`` where this process was started
    so, else ``-P``, which keeps ``PYTHONPATH``.
    """
    isolation = "-I" if sys.flags.isolated else "-P"
    return [sys.executable, isolation, "-m", module, *arguments]


def start_engine(address: Address, log: str = LOG) -> None:
    """Start an engine that outlives this process and its terminal; return when it answers.

    Errors: ``UnavailableError`` if it ends or stays silent for a minute; the message names the log.
    """
    notifications, place = _notification_socket()
    try:
        pid = _spawn(place, log)
        _wait(notifications, pid, address, log)
    finally:
        notifications.close()


def _notification_socket() -> tuple[_socket.socket, str]:
    """A datagram socket with an abstract name, so that no file is left behind."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    name = f"knarr-start-{os.getpid()}-{os.urandom(8).hex()}"
    sock.bind("\0" + name)
    return sock, _ABSTRACT + name


def _spawn(place: str, log: str) -> int:
    """The process id of the engine: a session of its own, nothing inherited but the log."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists(f"/proc/self/fd/{name}"):
            os.set_inheritable(int(name), False)  # noqa: FBT003 (the library takes no keyword)
    environment = {**os.environ, "NOTIFY_SOCKET": place}
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    command = engine_command(["--pidfile", "/run/knarr/knarr.pid"])
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir("/")  # the engine must not hold the caller's folder
    try:
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULTED,
        )
    finally:
        os.chdir(here)
        os.close(here)


def _wait(notifications: _socket.socket, pid: int, address: Address, log: str) -> None:
    exited = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(notifications.fileno(), select.POLLIN)
        poll.register(exited, select.POLLIN)
        events = poll.poll(_PATIENCE * 1000)
        while events:
            ready = [fd for fd, _ in events]
            if notifications.fileno() in ready and b"READY=1" in notifications.recv(4096):
                return
            if exited in ready:
                _another_or_none(address, log)
                return
            events = poll.poll(_PATIENCE * 1000)
    finally:
        os.close(exited)
    raise UnavailableError(f"the engine that was started does not answer; its log is {log}")


def _another_or_none(address: Address, log: str) -> None:
    """Our engine ended: good if another one answers, which may itself still be starting.

    That one tells its own caller when it is ready, not us: so this is the one place that polls.
    """
    deadline = time.monotonic() + _PATIENCE_WITH_ANOTHER
    while True:
        try:
            connect(address).close()
        except NoEngineError:
            if time.monotonic() > deadline:
                problem = f"the engine ended while it started; its log is {log}"
                raise UnavailableError(problem) from None
            time.sleep(_STEP)
        else:
            return

"""Staying with a container in the foreground: signals, terminal, exit code."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import sys
import termios
from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime import execute

if TYPE_CHECKING:
    from types import FrameType

    from knarr.runtime.process import Running

_FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGCONT,
)  # fmt: skip
_CHUNK = 65536


class Relay(NamedTuple):
    """Bytes that go from one descriptor to another."""

    source: int
    target: int


def hold_signals() -> None:
    """Let signals wait until ``wait`` can forward them; call it before the process is started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)


def wait(running: Running, master: int = -1) -> int:
    """Forward signals to the process until it ends; its exit code, 128 + N for signal N.

    With ``master`` the terminal of the process is joined to our standard input and output, and
    ours is raw meanwhile. Reaps the process; the caller closes the descriptors.
    """

    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            signal.pidfd_send_signal(running.pidfd, signal.Signals(number))
        except ProcessLookupError:
            return

    def resized(_number: int, _frame: FrameType | None) -> None:
        copy_size(master)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    if master >= 0:
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, resized)
        copy_size(master)
    attributes = _make_raw() if master >= 0 else None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    try:
        _relay_until_end(running.pidfd, master)
        return exit_code(execute.reap(running.pidfd))
    finally:
        if attributes is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, attributes)
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(status: int) -> int:
    """The code a shell would have for a status of wait(2)."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def copy_size(master: int) -> None:
    """Give the terminal behind ``master`` the size of ours, if we have one."""
    try:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:
        return


def receive(console: socket.socket) -> int:
    """The descriptor that a new process has sent over the other end of ``console``."""
    _, descriptors, _, _ = socket.recv_fds(console, 256, 1)
    return descriptors[0] if descriptors else -1


def _make_raw() -> list[int | list[bytes | int]] | None:
    if not os.isatty(0):
        return None
    before = termios.tcgetattr(0)
    raw = list(before)
    raw[0] = 0
    raw[1] &= ~termios.OPOST
    raw[3] = 0
    raw[6] = list(before[6])
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    termios.tcsetattr(0, termios.TCSADRAIN, raw)
    return before


def _relay_until_end(pidfd: int, master: int) -> None:
    waiter = select.poll()
    waiter.register(pidfd, select.POLLIN)
    relays = {}
    if master >= 0:
        relays = {0: Relay(0, master), master: Relay(master, 1)}
        for source in relays:
            waiter.register(source, select.POLLIN)
    ended = False
    while not ended:
        for source, _ in waiter.poll():
            if source == pidfd:
                ended = True
            elif not _copy(relays[source]):
                waiter.unregister(source)
    # What the process wrote before it ended is still in the terminal.
    while master >= 0 and _readable(master) and _copy(relays[master]):
        pass


def _copy(relay: Relay) -> bool:
    """Copy what is there; False at the end of the source or when nobody takes it."""
    try:
        data = os.read(relay.source, _CHUNK)
        while data:
            data = data[os.write(relay.target, data) :]
            if not data:
                return True
    except OSError as error:
        if error.errno not in {errno.EIO, errno.EPIPE}:
            sys.stderr.write(f"knarr-runtime: terminal: {error}\n")
    return False


def _readable(descriptor: int) -> bool:
    waiter = select.poll()
    waiter.register(descriptor, select.POLLIN)
    return any(happened & select.POLLIN for _, happened in waiter.poll(0))

"""The stdio of a process that is about to be started: which ends are ours and which are its.

Roles of our ends, which also name the duplicates that the engine holds:

- without a terminal: ``stdin`` (if it is open at all), ``stdout``, ``stderr``, ends of pipes;
- with a terminal: ``master`` and ``relay`` (see ``source``).
"""

from __future__ import annotations

import os
import socket
import termios
from typing import TYPE_CHECKING

from knarr.errors import InternalError
from knarr.runtime.process import Stdio
from knarr.supervisor import source

if TYPE_CHECKING:
    from typing import Self

_DEVPTS_NAME = 4096


class Wires:
    """A context manager: whatever was not taken over by ``keep`` is closed at its end."""

    def __init__(self, *, terminal: bool, open_stdin: bool) -> None:
        self.ours: dict[str, int] = {}
        self._theirs: list[int] = []
        self._console: socket.socket | None = None
        self._terminal = terminal
        self._open_stdin = open_stdin and not terminal
        self.stdio = Stdio(-1, -1, -1)

    def __enter__(self) -> Self:
        try:
            null = self._their(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
            if self._terminal:
                self._console, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                self.stdio = Stdio(null, null, null, self._their(theirs.detach()))
                return self
            stdin = self._pipe_to_child("stdin") if self._open_stdin else null
            self.stdio = Stdio(
                stdin, self._pipe_from_child("stdout"), self._pipe_from_child("stderr")
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (*self._theirs, *self.ours.values()):
            os.close(fd)
        self._theirs.clear()
        self.ours = {}
        if self._console is not None:
            self._console.close()

    def receive_terminal(self, size: tuple[int, int] | None) -> None:
        """Take the master that the process has sent; it was sent when the start has returned.

        ``size`` is (height, width) in characters.
        """
        if self._console is None:
            return
        self._console.settimeout(0)
        try:
            _, fds, _, _ = socket.recv_fds(self._console, _DEVPTS_NAME, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            fds = []
        if not fds:
            raise InternalError("the runtime did not hand over the terminal of the process")
        self.ours["master"] = fds[0]
        os.set_blocking(fds[0], False)
        if size is not None:
            termios.tcsetwinsize(fds[0], size)
        self.ours["relay"], into = os.pipe2(os.O_CLOEXEC)
        os.close(into)

    def keep(self) -> dict[str, int]:
        """Our ends, which the caller owns from now on."""
        ours, self.ours = self.ours, {}
        return ours

    def _their(self, fd: int) -> int:
        self._theirs.append(fd)
        return fd

    def _pipe_to_child(self, role: str) -> int:
        child, self.ours[role] = os.pipe2(os.O_CLOEXEC)
        return self._their(child)

    def _pipe_from_child(self, role: str) -> int:
        self.ours[role], child = os.pipe2(os.O_CLOEXEC)
        source.enlarge(child)
        return self._their(child)

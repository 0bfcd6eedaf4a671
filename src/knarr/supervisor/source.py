"""Where output comes from: the read end of a pipe, or the master of a terminal.

Law: ``move`` takes bytes into a spool by splice(2) only, see ``spool``. A terminal cannot be
spliced into a file, so its bytes pass through a pipe, the relay; the engine holds a duplicate of
the relay's end, so that what stands in it when the supervisor is killed is not lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from knarr.supervisor.spool import Spool

PIPE_BYTES = 1 << 20
_RELAY_BYTES = 64 * 1024


class Source(Protocol):
    """Something that a process writes to. ``fd`` is what is watched and belongs to the source."""

    fd: int

    @property
    def handles(self) -> dict[str, int]:
        """Its descriptors by role."""
        ...

    def move(self, spool: Spool) -> int:
        """Move what is there; 0 at the end. Raises ``BlockingIOError`` when nothing is there."""
        ...

    def close(self) -> None:
        """Close the descriptors."""
        ...


class PipeSource:
    """The read end of a pipe; its end comes when no process has the other end open."""

    def __init__(self, role: str, fd: int) -> None:
        self.fd = fd
        self.handles = {role: fd}

    def move(self, spool: Spool) -> int:
        """See ``Source``."""
        return spool.fill(self.fd)

    def close(self) -> None:
        """See ``Source``."""
        os.close(self.fd)


class TerminalSource:
    """The master of a terminal; its end (EIO) comes when no process has the terminal open."""

    def __init__(self, master: int, relay: int) -> None:
        self.fd = master
        self.handles = {"master": master, "relay": relay}
        self._relay = relay
        # The other end of the same pipe; opened like this it is there after an adoption too.
        self._into = os.open(f"/proc/self/fd/{relay}", os.O_WRONLY | os.O_CLOEXEC)
        self._left = True  # something may stand in the relay

    def move(self, spool: Spool) -> int:
        """See ``Source``."""
        if self._left:
            with contextlib.suppress(BlockingIOError):
                return spool.fill(self._relay)
            self._left = False
        try:
            os.splice(self.fd, self._into, _RELAY_BYTES, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EIO:
                return 0
            raise
        self._left = True
        moved = spool.fill(self._relay)
        self._left = False
        return moved

    def close(self) -> None:
        """See ``Source``."""
        os.close(self.fd)
        os.close(self._relay)
        os.close(self._into)


def enlarge(pipe: int) -> None:
    """Let a pipe hold 1 MiB where the kernel allows it (pipe(7), pipe-max-size)."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

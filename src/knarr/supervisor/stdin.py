"""The input of a process: from attachments into its pipe or terminal.

Law: one block of input is kept at most; while the process does not read it, no attachment is read.
Several attachments may feed one process; their blocks are not mixed. When the process has closed
its input, what comes is dropped. ``on_closed`` is called once when this end is closed, because the
engine's duplicate must be closed as well before the process sees the end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from knarr.supervisor import loop as events

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.loop import Loop

BLOCK = 64 * 1024


class Feeder(Protocol):
    """Somebody who has input for the process: an attachment."""

    def receive(self, size: int) -> bytes | None:
        """A block of at most ``size`` bytes; b"" at the end, None when there is none now."""
        ...

    def input_ended(self) -> None:
        """The end was received."""
        ...

    def pause(self) -> None:
        """Offer no more until ``resume``."""
        ...

    def resume(self) -> None:
        """Offer again."""
        ...


class Input:
    """Owns ``fd``, the write end of a pipe or a duplicate of the master of a terminal.

    ``once`` says whether the end of an attachment's input is the end of the process's.
    """

    def __init__(self, loop: Loop, fd: int, *, once: bool, on_closed: Callable[[], None]) -> None:
        os.set_blocking(fd, False)
        self.once = once
        self._loop = loop
        self._fd = fd
        self._on_closed = on_closed
        self._block = memoryview(b"")
        self._waiting: list[Feeder] = []
        self._ending = False

    def feed(self, attachment: Feeder) -> None:
        """Take a block of what ``attachment`` has received."""
        if self._block:
            attachment.pause()
            self._waiting.append(attachment)
            return
        data = attachment.receive(BLOCK)
        if data is None:
            return
        if not data:
            attachment.input_ended()
            return
        self._block = memoryview(data)
        self._write()

    @property
    def fd(self) -> int:
        """The descriptor, -1 when closed."""
        return self._fd

    def end(self) -> None:
        """Close the input as soon as the process has taken the last block."""
        self._ending = True
        if not self._block:
            self.close()

    def close(self) -> None:
        """Close the input now."""
        if self._fd < 0:
            return
        self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._block = memoryview(b"")
        self._on_closed()
        self._resume()

    def _write(self) -> None:
        try:
            while self._block and self._fd >= 0:
                self._block = self._block[os.write(self._fd, self._block) :]
        except BlockingIOError:
            self._loop.watch(self._fd, events.OUT, self._writable)
        except OSError:
            self.close()
        if self._fd < 0:
            self._block = memoryview(b"")

    def _writable(self, _: int) -> None:
        self._loop.unwatch(self._fd)
        self._write()
        if not self._block:
            if self._ending:
                self.close()
            self._resume()

    def _resume(self) -> None:
        waiting, self._waiting = self._waiting, []
        for attachment in waiting:
            attachment.resume()

"""What ties a new process to the one that starts it, as values that planning can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from knarr.runtime.process import Stdio


class Wiring(NamedTuple):
    """Descriptors and paths for one new process.

    ``report`` is the child's end of a SEQPACKET socket, or -1 where the memory is shared.
    ``streams`` are those of 0, 1 and 2 that the container's user shall own. ``joins`` are the files
    by which the process joins its cgroups, whose path is ``cgroup``. ``hooks`` asks for the wait
    before the root is changed, ``waits`` for that before exec, and ``fifo`` is the descriptor from
    which `create` then lets the process read one byte, or -1.
    """

    stdio: Stdio
    report: int = -1
    streams: tuple[int, ...] = ()
    joins: tuple[str, ...] = ()
    cgroup: str = "/"
    hooks: bool = False
    waits: bool = False
    fifo: int = -1

    @property
    def preserved(self) -> range:
        """The descriptors beyond the standard streams that the program gets."""
        return range(3, 3 + self.stdio.preserved)

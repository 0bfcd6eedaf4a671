"""One output stream of a process: from its source through the spool to log and attachments.

Law: everything that is read reaches the log; an attachment gets everything from the moment at
which it was attached. When an attachment is ``LAG_LIMIT`` bytes behind, nothing more is read until
it catches up or goes away, so the process waits for it, as with Docker. When the process has
ended, what it wrote is read and logged without waiting for anybody; an attachment that lags gets
it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from knarr.supervisor import loop as events

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.supervisor.containerlog import Log
    from knarr.supervisor.loop import Loop
    from knarr.supervisor.source import Source
    from knarr.supervisor.spool import Spool

LAG_LIMIT = 1 << 20
_DRAIN_MOVES = 256
_RETRY_SECONDS = 0.25


class Reader(Protocol):
    """Somebody who gets the output, as fast as he takes it: an attachment."""

    def cursor(self, stream: int) -> int:
        """How far in the spool of ``stream`` he has got."""
        ...

    def pump(self, output: Output) -> None:
        """There is more in the spool, or the output has ended."""
        ...


class Output:
    """Stream ``stream`` (1 or 2) of a process; owns its source and spool.

    ``source`` is None when it could not be found again after both processes had died.
    """

    def __init__(
        self,
        loop: Loop,
        stream: int,
        source: Source | None,
        spool: Spool,
        log: Log | None,
        complain: Callable[[str], None],
    ) -> None:
        self.stream = stream
        self.spool = spool
        self.ended = False
        self._loop = loop
        self._source = source
        self._log = log
        self._complain = complain
        self._attached: list[Reader] = []
        self._watched = False
        self._reopens = False
        self._edge = False
        self._lagging = False
        self.on_end: Callable[[], None] | None = None

    def begin(self) -> None:
        """Deliver what an earlier supervisor has left in the spool, then read."""
        if self.spool.end:
            if self._log is not None and self._log.may_lose:
                start = self._log.logged(self.stream)
                there = self.spool.line_from(start)
                if there > start:
                    self._log.skip(self.stream, there)
            self._deliver()
        if self._source is None:
            self.finish()
        self._watch()

    def handles(self) -> dict[str, int]:
        """The descriptors of the source by their role, for the engine to hold."""
        return {} if self._source is None else self._source.handles

    def attach(self, attachment: Reader) -> None:
        """Send to ``attachment`` all that comes from now on."""
        self._attached.append(attachment)

    def detach(self, attachment: Reader) -> None:
        """Send nothing more to ``attachment``; it is no error when it is not attached."""
        if attachment in self._attached:
            self._attached.remove(attachment)
            self.settle()

    def settle(self) -> None:
        """Give back what all have read, and go on reading when nobody lags any more."""
        if self.ended and not self._attached:
            self.spool.close()
            return
        slowest = min((each.cursor(self.stream) for each in self._attached), default=self.spool.end)
        kept = self.spool.end if self._log is None else self._log.kept(self.stream)
        self.spool.trim(min(slowest, kept))
        self._lagging = self.spool.end - slowest >= LAG_LIMIT
        if self._lagging:
            self._unwatch()
        else:
            self._watch()

    def drain(self) -> None:
        """Take all that stands in the source now, whoever lags: the process has ended."""
        self._reopens = False
        for _ in range(_DRAIN_MOVES):
            if not self._move():
                return

    def finish(self) -> None:
        """Read no more: log the unfinished last line, and let attachments come to their end."""
        if self.ended:
            return
        self.ended = True
        self._unwatch()
        if self._source is not None:
            self._source.close()
            self._source = None
        if self._log is not None:
            start = self._log.logged(self.stream)
            if self.spool.end > start:
                self._log.append(self.stream, self.spool.read(start, self.spool.end), final=True)
        for attachment in tuple(self._attached):
            attachment.pump(self)
        self.settle()
        if self.on_end is not None:
            self.on_end()

    def reopens(self) -> None:
        """Its process lives, so a terminal that nobody has open may be opened again."""
        self._reopens = True

    def _ready(self, _: int) -> None:
        while self._move() and self._edge:
            pass

    def _move(self) -> bool:
        """Take one chunk; False when there is nothing more now."""
        if self._source is None:
            return False
        try:
            moved = self._source.move(self.spool)
        except BlockingIOError:
            return False
        except OSError as error:
            self._complain(f"spool: {error.strerror}")
            self._unwatch()
            self._loop.call_later(_RETRY_SECONDS, self._watch)
            return False
        if moved == 0:
            self._nobody_writes()
            return False
        self._deliver()
        return True

    def _nobody_writes(self) -> None:
        if not self._reopens:
            self.finish()
        elif self._source is not None and self._watched and not self._edge:
            # Level-triggered, the hang-up of the terminal would wake the loop for ever.
            self._edge = True
            self._loop.change(self._source.fd, events.IN | events.EDGE)

    def _deliver(self) -> None:
        if self._log is not None:
            start = self._log.logged(self.stream)
            self._log.append(self.stream, self.spool.read(start, self.spool.end))
        for attachment in tuple(self._attached):
            attachment.pump(self)
        self.settle()

    def _watch(self) -> None:
        if not self._watched and not self._lagging and self._source is not None:
            self._watched = True
            self._edge = False
            self._loop.watch(self._source.fd, events.IN, self._ready)

    def _unwatch(self) -> None:
        if self._watched and self._source is not None:
            self._watched = False
            self._loop.unwatch(self._source.fd)

"""Sending every line of output to a program that collects logs: syslog or journald.

Law: a sender reads the spool as an attachment does. By default the container waits when the
receiver does not take its lines (after ``output.LAG_LIMIT`` bytes); in non-blocking mode what does
not fit into the buffer is dropped, whole lines, the newest. While there is no receiver, the lines
of half that limit wait and older ones are dropped, because a container must not stop when its
collector does. When the process has ended, the rest is sent within ``CLOSE_SECONDS``, and nobody
waits for it. How far it has come stands in a file, so that after a kill of the supervisor the next
one goes on there: a line that was sent just before may come twice, none is left out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.supervisor import jsonlog
from knarr.supervisor import loop as events
from knarr.supervisor.output import LAG_LIMIT
from knarr.supervisor.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.supervisor.loop import Loop, Timer

CLOSE_SECONDS = 10.0
_PAUSES_SECONDS = (0.1, 0.5, 1.0, 5.0)
_BATCH = 64 * 1024
_AHEAD = 64 * 1024
_NOTE = struct.Struct("<2Q")
_FILE = "sent"


class Driver(Protocol):
    """One way of sending."""

    def connect(self) -> socket.socket:
        """A connected socket; blocks. Raises ``OSError``."""
        ...

    @property
    def peer(self) -> str:
        """Who is connected to, as an error names it."""
        ...

    def message(self, stream: int, line: bytes, *, partial: bool) -> bytes:
        """A line without its end, as it is sent; empty when it is not."""
        ...

    def send(self, sock: socket.socket, message: bytes) -> int:
        """Send, without blocking; how many bytes went. Raises ``OSError``."""
        ...


def drain(sock: socket.socket) -> None:
    """Read what the receiver has said: closed with that unread, a connection loses what was sent.

    TLS servers say something after the handshake, and nobody else does.
    """
    with contextlib.suppress(OSError):
        while sock.gettimeout() == 0 and sock.recv(4096):
            pass


def driver(options: dict[str, str]) -> Driver:
    """The driver that the options name; only that one is loaded."""
    if options["driver"] == "syslog":
        from knarr.supervisor.syslogsender import Syslog  # noqa: PLC0415 - a rare feature

        return Syslog(options)
    from knarr.supervisor.journaldsender import Journald  # noqa: PLC0415 - a rare feature

    return Journald(options)


class Lines(Protocol):
    """What a sender needs of an output of a process."""

    stream: int
    spool: Spool
    ended: bool

    def attach(self, attachment: Sender) -> None:
        """Tell ``attachment`` of all that comes from now on."""
        ...

    def detach(self, attachment: Sender) -> None:
        """Tell it nothing more."""
        ...

    def settle(self) -> None:
        """It has got further."""
        ...


class _Message(NamedTuple):
    stream: int
    stop: int
    whole: bytes
    data: bytes  # what is still to be sent


class Sender:
    """What sends the lines of one container."""

    def __init__(
        self, driver: Driver, folder: str, buffer: int, complain: Callable[[str], None]
    ) -> None:
        self._driver = driver
        self._path = f"{folder}/{_FILE}"
        self._limit = buffer
        self._complain = complain
        self._loop: Loop | None = None
        self._outputs: dict[int, Lines] = {}
        self._taken = {1: 0, 2: 0}
        self._sent = {1: 0, 2: 0}
        self._queue: deque[_Message] = deque()
        self._bytes = 0
        self._sock: socket.socket | None = None
        self._note = -1
        self._writable = True
        self._again = False
        self._failures = 0
        self._timer: Timer | None = None
        self._closed = False
        self.dropped = 0

    def dial(self) -> None:
        """Connect now; blocks. Raises ``OSError``."""
        self._sock = self._driver.connect()
        self._sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature

    def failure(self, error: OSError) -> str:
        """Why there is no connection, in Docker's words."""
        reason = (error.strerror or str(error)).lower() if error.errno else str(error)
        peer = self._driver.peer
        return f"dial {peer}: connect: {reason}" if peer else error.strerror or str(error)

    def recover(self) -> None:
        """Go on where an earlier supervisor was killed."""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            self._taken[1], self._taken[2] = _NOTE.unpack(file.read(_NOTE.size).ljust(16, b"\0"))
            self._sent = dict(self._taken)

    def bind(self, loop: Loop, outputs: Mapping[int, Lines]) -> None:
        """Take the lines of these outputs from now on."""
        self._loop = loop
        self._outputs = dict(outputs)
        # Now, because later the folder may be that of the next run of the container.
        with contextlib.suppress(OSError):
            self._note = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for stream, output in outputs.items():
            if self._limit and output.spool.end:
                self._sent[stream] = output.spool.line_from(self._sent[stream])
            self._taken[stream] = self._sent[stream]
            output.attach(self)
        if self._sock is None:
            self._redial()
        else:
            loop.watch(self._sock.fileno(), 0, self._ready)

    def cursor(self, stream: int) -> int:
        """How far the spool of ``stream`` is not needed any more."""
        return self._taken[stream] if self._limit else self._sent[stream]

    def pump(self, output: Lines) -> None:
        """There is more in the spool, or the output has ended."""
        if self._closed:
            output.detach(self)
            return
        self._take(output)
        self._flush()

    def close(self) -> None:
        """Send nothing more."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        lost = self.dropped + sum(o.spool.end - self._sent[s] for s, o in self._outputs.items())
        if lost and any(output.spool.end for output in self._outputs.values()):
            self._complain(f"{lost} bytes of lines were not sent to the collector of logs")
        self._hang_up()
        if self._note >= 0:
            os.close(self._note)
        for output in self._outputs.values():
            output.detach(self)

    def _take(self, output: Lines) -> None:
        """Make messages of what stands in the spool."""
        stream = output.stream
        while self._limit or self._bytes < _AHEAD:
            start = self._taken[stream]
            stop = min(output.spool.end, start + _BATCH)
            data = output.spool.read(start, stop) if stop > start else b""
            final = output.ended and stop == output.spool.end
            for first, last in jsonlog.segments(data, final=final):
                self._split(stream, data[first:last])
            if self._taken[stream] == start:
                return

    def _split(self, stream: int, data: bytes) -> None:
        position = self._taken[stream]
        for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
            position += len(line)
            whole = line.endswith(b"\n")
            message = self._driver.message(stream, line[:-1] if whole else line, partial=not whole)
            if self._limit and self._bytes and self._bytes + len(message) > self._limit:
                self.dropped += len(line)
                continue
            self._bytes += len(message)
            self._queue.append(_Message(stream, position, message, message))
        self._taken[stream] = position

    def _flush(self) -> None:
        """Send as much as goes."""
        before = dict(self._sent)
        while self._queue and self._sock is not None and self._writable:
            message = self._queue[0]
            if not self._send_first(self._sock, message):
                break
            if not self._queue and not self._limit:
                for output in self._outputs.values():
                    self._take(output)
        if self._sock is None and not self._limit:
            self._shed()
        if not self._queue:
            self._sent = dict(self._taken)  # what was dropped last counts too
        if self._sent != before:
            self._write_note()
        self._finish()

    def _send_first(self, sock: socket.socket, message: _Message) -> bool:
        try:
            went = self._driver.send(sock, message.data) if message.data else 0
        except BlockingIOError:
            self._wait_for_room(sock)
            return False
        except OSError as error:
            if not self._failed(error):
                return False
            went = len(message.data)
        if went < len(message.data):
            self._queue[0] = message._replace(data=message.data[went:])
            self._bytes -= went
            self._wait_for_room(sock)
            return False
        self._queue.popleft()
        self._bytes -= went
        self._sent[message.stream] = message.stop
        return True

    def _failed(self, error: OSError) -> bool:
        """Whether only this message was refused; otherwise the connection is given up."""
        if error.errno == errno.EMSGSIZE:
            self.dropped += 1
            return True
        self._say(error)
        self._hang_up()
        self._redial()
        return False

    def _say(self, error: OSError) -> None:
        """Complain at the first failure, the second, the fourth, and so on."""
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            self._complain(f"collector of logs: {self.failure(error)} ({self._failures} times)")

    def _shed(self) -> None:
        """Nobody is there to send to: keep the newest lines only."""
        while self._queue:
            lag = sum(o.spool.end - self._sent[s] for s, o in self._outputs.items())
            if lag < LAG_LIMIT // 2:
                return
            message = self._queue.popleft()
            self._bytes -= len(message.data)
            self._sent[message.stream] = message.stop
            self.dropped += len(message.data)
            if not self._queue:
                for output in self._outputs.values():
                    self._take(output)

    def _wait_for_room(self, sock: socket.socket) -> None:
        self._writable = False
        if self._loop is not None:
            self._loop.change(sock.fileno(), events.OUT)

    def _ready(self, ready: int) -> None:
        if self._sock is None or self._loop is None:
            return
        if ready & events.OUT:
            self._writable = True
            self._loop.change(self._sock.fileno(), 0)
        elif ready & events.HUP:
            self._hang_up()
            self._redial()
            return
        else:
            # What a datagram met with; unread it would wake the loop again and again.
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._go_on()

    def _go_on(self) -> None:
        for output in tuple(self._outputs.values()):
            if self._closed:
                return
            self.pump(output)
            output.settle()

    def _hang_up(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            if self._loop is not None:
                self._loop.unwatch(sock.fileno())
            drain(sock)
            sock.close()

    def _redial(self) -> None:
        """Connect again, in a thread because names may have to be resolved."""
        loop, driver = self._loop, self._driver
        if loop is None or self._again or self._closed:
            return
        self._again = True

        def dial() -> None:
            try:
                sock = driver.connect()
                sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            except OSError as error:
                failure = error
                loop.call_from_thread(lambda: self._not_connected(failure))
            else:
                loop.call_from_thread(lambda: self._connected(sock))

        threading.Thread(target=dial, name="dial", daemon=True).start()

    def _connected(self, sock: socket.socket) -> None:
        self._again = False
        if self._closed or self._loop is None:
            sock.close()
            return
        self._sock = sock
        self._writable = True
        self._loop.watch(sock.fileno(), 0, self._ready)
        if self._queue:
            # It went out in part, perhaps, over the connection that broke.
            first = self._queue[0]
            self._bytes += len(first.whole) - len(first.data)
            self._queue[0] = first._replace(data=first.whole)
        self._go_on()

    def _not_connected(self, error: OSError) -> None:
        self._again = False
        self._say(error)
        if self._closed or self._loop is None:
            return
        pause = _PAUSES_SECONDS[min(self._failures, len(_PAUSES_SECONDS)) - 1]
        self._loop.call_later(pause, self._redial)
        self._go_on()

    def _write_note(self) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._note, _NOTE.pack(self._sent[1], self._sent[2]), 0)

    def _finish(self) -> None:
        """Close when all is sent; wait for it for a while when the process has ended."""
        if self._loop is None or not all(o.ended for o in self._outputs.values()):
            return
        done = all(self._sent[s] >= o.spool.end for s, o in self._outputs.items())
        if not self._queue and done:
            self.close()
        elif self._timer is None:
            self._timer = self._loop.call_later(CLOSE_SECONDS, self.close)


class _Rest:
    """An output of a process that has ended under an earlier supervisor."""

    ended = True

    def __init__(self, stream: int, spool: Spool) -> None:
        self.stream = stream
        self.spool = spool

    def attach(self, attachment: Sender) -> None:
        """See ``Lines``."""

    def detach(self, attachment: Sender) -> None:
        """See ``Lines``."""
        del attachment
        self.spool.close()

    def settle(self) -> None:
        """See ``Lines``."""


def send_rest(loop: Loop, sender: Sender, folder: str) -> None:
    """Send what a process has written before it ended, and its supervisor could not any more."""
    sender.recover()
    outputs = {}
    for stream, role in ((1, "stdout"), (2, "stderr")):
        outputs[stream] = _Rest(stream, Spool(f"{folder}/{role}.spool"))
        outputs[stream].spool.recover()
    if all(sender.cursor(stream) >= rest.spool.end for stream, rest in outputs.items()):
        for rest in outputs.values():
            rest.spool.close()
        return
    sender.bind(loop, outputs)
    for rest in outputs.values():
        sender.pump(rest)


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends; carriage returns end none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines

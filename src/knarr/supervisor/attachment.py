"""An attached stream: the supervisor's end of a socket whose other end the engine holds.

Law: output goes out framed as Docker's stdcopy (stream number, three zeros, length as big-endian
32 bits, bytes), or raw for a terminal; the socket is closed behind the last byte. Both directions
end on their own: a peer that closes is no longer sent to, but what it had sent still reaches the
process. The end of the input closes the input of the process if it is to be closed with its first
attachment (StdinOnce) and has no terminal; otherwise it ends the attachment, both as Docker does.

At most one frame is kept in memory; the rest waits in the spool.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from knarr.supervisor import loop as events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.supervisor.loop import Loop
    from knarr.supervisor.output import Output
    from knarr.supervisor.stdin import Input

FRAME = 64 * 1024
_HEADER = struct.Struct(">BxxxI")


class Attachment:
    """One socket; unbound until its process is there."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        streams: tuple[bool, bool, bool],
        on_closed: Callable[[Attachment], None],
    ) -> None:
        self._loop = loop
        self._sock: socket.socket | None = sock
        self._wants_input, *wanted = streams
        self._wanted = [stream for stream, wants in enumerate(wanted, 1) if wants]
        self._on_closed = on_closed
        self._input: Input | None = None
        self._outputs: dict[int, Output] = {}
        self._cursors: dict[int, int] = {}
        self._raw = False
        self._rest = memoryview(b"")
        self._bound = False
        self._paused = False
        self._hung = False
        self._process_ended = False
        self._mask = 0
        sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        loop.watch(sock.fileno(), 0, self._ready)

    def bind(self, outputs: Mapping[int, Output], input_: Input | None, *, raw: bool) -> None:
        """Connect with a process: its output from now on, and its input if that is open."""
        self._raw = raw
        for stream in self._wanted:
            output = outputs.get(stream)
            if output is not None:
                self._outputs[stream] = output
                self._cursors[stream] = output.spool.end
                output.attach(self)
        self._bound = True
        if self._wants_input:
            self._input = input_
        self._listen()
        if self._hung:
            self._feed()
            self._close_at_end()

    def cursor(self, stream: int) -> int:
        """How far in the spool of ``stream`` this one has got."""
        return self._cursors[stream]

    @property
    def abandoned(self) -> bool:
        """Whether its peer is gone and it only waits for a process to give input to."""
        return self._hung and not self._bound

    def pump(self, output: Output) -> None:
        """Send what stands in the spool, as far as the socket takes it."""
        stream = output.stream
        while not self._rest and self._cursors.get(stream, output.spool.end) < output.spool.end:
            start = self._cursors[stream]
            stop = min(output.spool.end, start + FRAME)
            self._cursors[stream] = stop
            header = b"" if self._raw else _HEADER.pack(stream, stop - start)
            self._send(header, output.spool.read(start, stop))
        self._close_at_end()

    def process_ended(self) -> None:
        """There will be no more input; the socket closes when all output is sent."""
        self._process_ended = True
        self._input = None
        self._listen()
        self._close_at_end()

    def receive(self, size: int) -> bytes | None:
        """Input for the process: b"" at its end, None when there is none now."""
        if self._sock is None:
            return b""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def pause(self) -> None:
        """The process does not read: read no more input until ``resume``."""
        self._paused = True
        self._listen()

    def resume(self) -> None:
        """The process reads again."""
        self._paused = False
        self._listen()
        if self._hung:
            self._feed()

    def input_ended(self) -> None:
        """All input was read."""
        input_, self._input = self._input, None
        if input_ is not None and input_.once:
            input_.end()
            self._listen()
            self._close_at_end()
        else:
            self.close()

    def close(self) -> None:
        """Let go of the peer and of the process."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.unwatch(sock.fileno())
        self._input = None
        self._rest = memoryview(b"")
        self._hang_up_outputs()
        # Closed with unread input the peer would see a reset instead of the end.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
            while sock.recv(FRAME):
                pass
        sock.close()
        self._on_closed(self)

    def _ready(self, ready: int) -> None:
        if ready & events.OUT:
            self._flush()
        if ready & (events.IN | events.RDHUP) and self._input is not None:
            self._input.feed(self)
        if ready & events.HUP and self._sock is not None:
            self._hung_up()

    def _hung_up(self) -> None:
        """The peer has closed: take the input that it left, then go."""
        if self._input is None and (self._bound or not self._has_unread()):
            self.close()
            return
        self._rest = memoryview(b"")
        self._hang_up_outputs()
        if self._sock is not None:
            self._loop.unwatch(self._sock.fileno())
        self._hung = True
        self._feed()

    def _has_unread(self) -> bool:
        """Whether a peer that came and went before the start has left input."""
        if self._sock is None or not self._wants_input:
            return False
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def _feed(self) -> None:
        while self._input is not None and not self._paused:
            self._input.feed(self)

    def _hang_up_outputs(self) -> None:
        outputs, self._outputs = self._outputs, {}
        self._cursors.clear()
        for output in outputs.values():
            output.detach(self)

    def _send(self, header: bytes, data: bytes) -> None:
        if self._sock is None:
            return
        try:
            sent = self._sock.sendmsg((header, data))
        except BlockingIOError:
            sent = 0
        except OSError:
            # The peer is gone; its hang-up is about to be seen, or its input is still to be read.
            self._hang_up_outputs()
            return
        if sent < len(header) + len(data):
            self._rest = memoryview(header + data)[sent:]
            self._listen()

    def _flush(self) -> None:
        rest, self._rest = self._rest, memoryview(b"")
        if rest:
            self._send(b"", bytes(rest))
        for output in tuple(self._outputs.values()):
            self.pump(output)
            if self._outputs:
                output.settle()
        self._listen()

    def _listen(self) -> None:
        """Watch the socket for what can be done with it now; hang-ups always come."""
        if self._sock is None or self._hung:
            return
        mask = events.OUT if self._rest else 0
        if self._input is not None and not self._paused:
            mask |= events.IN | events.RDHUP
        if mask != self._mask:
            self._mask = mask
            self._loop.change(self._sock.fileno(), mask)

    def _close_at_end(self) -> None:
        """Close when nothing can come or go any more."""
        if self._rest or self._input is not None or not (self._process_ended or self._hung):
            return
        for stream, output in self._outputs.items():
            if not output.ended or self._cursors[stream] < output.spool.end:
                return
        self.close()

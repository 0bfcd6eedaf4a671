"""A conversation over a hijacked connection: what is typed goes there, what it prints comes here.

One thread reads the engine and writes the output; a second one reads standard input. So neither
direction can block the other. Signals are handled in the first, between two reads.
"""

from __future__ import annotations

import _thread
import posix
from _socket import SHUT_RDWR, SHUT_WR

from knarr.client.stdcopy import STDERR, Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Iterable

    from knarr.client.detach import Detector

    Sink = Callable[[bytes], None]

_BLOCK = 64 * 1024


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything; ``OSError`` as write(2), ``BrokenPipeError`` if nobody reads."""
    written = posix.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = posix.write(fd, data)


def raw(fd: int) -> Sink:
    """Output of a terminal: every byte to one descriptor."""
    return lambda data: write_all(fd, data)


def demultiplexed(stdout: int | None, stderr: int | None) -> Sink:
    """Output in frames: each to the descriptor of its stream, or nowhere.

    What came together and goes to one descriptor is written at once: logs have a frame a line.
    """
    parser = Demultiplexer()

    def sink(data: bytes) -> None:
        parts: list[memoryview] = []
        target = stdout
        try:
            for stream, part in parser.feed(data):
                fd = stderr if stream == STDERR else stdout
                if fd != target:
                    _write_parts(target, parts)
                    parts, target = [], fd
                parts.append(part)
        finally:
            _write_parts(target, parts)

    return sink


def _write_parts(fd: int | None, parts: list[memoryview]) -> None:
    if parts and fd is not None:
        write_all(fd, parts[0] if len(parts) == 1 else b"".join(parts))


def copy(chunks: Iterable[bytes], sink: Sink) -> None:
    """Write out a whole body, such as logs."""
    for chunk in chunks:
        sink(chunk)


class Duplex:
    """One hijacked connection and the standard streams at this end."""

    def __init__(self, sock: _socket.socket, pending: bytes, sink: Sink | None) -> None:
        self._socket = sock
        self._pending = pending
        self._sink = sink
        self._detector: Detector | None = None

    def feed(self, stdin: int, detector: Detector | None = None) -> None:
        """Begin to send ``stdin``; its end half-closes the connection."""
        self._detector = detector
        _thread.start_new_thread(self._feed, (stdin,))

    def half_close(self) -> None:
        """Say that nothing will be sent."""
        self._end_of_input()

    def drain(self) -> bool:
        """Write the output until it ends; ``False`` if the detach keys ended it."""
        if self._pending and self._sink:
            self._sink(self._pending)
        while data := self._receive():
            if self._sink:
                self._sink(data)
        return not (self._detector and self._detector.found)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_BLOCK)
        except ConnectionResetError:
            return b""

    def _feed(self, stdin: int) -> None:
        try:
            while data := posix.read(stdin, _BLOCK):
                self._socket.sendall(self._detector.feed(data) if self._detector else data)
                if self._detector and self._detector.found:
                    break
        except OSError:
            return  # The output's end says what happened.
        finally:
            self._end_of_input()

    def _end_of_input(self) -> None:
        detached = self._detector and self._detector.found
        try:
            self._socket.shutdown(SHUT_RDWR if detached else SHUT_WR)
        except OSError:
            return  # The other side was faster.

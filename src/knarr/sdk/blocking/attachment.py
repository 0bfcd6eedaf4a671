"""Connections that were taken over: what a program writes, and what it reads."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from knarr.errors import UnavailableError
from knarr.sdk.core import failures

from .output import OutputStream
from .transport import translated

if TYPE_CHECKING:
    import _socket

    from knarr.client.connection import Response
    from knarr.sdk.core.request import Decoder, Streaming
    from knarr.sdk.core.values import Chunk, Output

    from .streams import Stream
    from .transport import Transport

_BLOCK = 64 * 1024
_SHUT_WR, _SHUT_RDWR = 1, 2


class Wire:
    """A connection that was taken over: bytes in both directions."""

    def __init__(self, response: Response) -> None:
        self._socket, self._pending = response.hijack()
        self._socket.settimeout(None)

    @property
    def socket(self) -> _socket.socket:
        """For the other direction."""
        return self._socket

    def read(self) -> bytes:
        """What arrives next."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        with translated(None):
            try:
                return self._socket.recv(_BLOCK)
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):  # The engine was faster.
            self._socket.shutdown(_SHUT_RDWR)
        self._socket.close()


class Attachment(OutputStream):
    """A program's output, and its standard input."""

    def __init__(self, wire: Wire, decoder: Decoder[bytes, Chunk]) -> None:
        super().__init__(wire, decoder)
        self._wire = wire

    def send(self, data: bytes) -> None:
        """Send to standard input. Raises ``UnavailableError`` if the connection has ended."""
        try:
            self._wire.socket.sendall(data)
        except OSError as error:
            raise UnavailableError(f"the program takes no more input: {error}") from error

    def close_stdin(self) -> None:
        """End standard input; output goes on."""
        try:
            self._wire.socket.shutdown(_SHUT_WR)
        except OSError:
            return  # The engine was faster.

    def communicate(self, data: bytes | None = None, *, timeout: float | None = None) -> Output:
        """Send all, end standard input, and read all output.

        Errors: ``EngineTimeoutError`` if it has not ended after ``timeout`` seconds.
        """
        feeder = threading.Thread(target=self._feed, args=(data,), daemon=True)
        alarm = Alarm(self, timeout)
        try:
            feeder.start()
            output = self.read()
        finally:
            self.close()
            alarm.cancel()
            feeder.join()
        if alarm.rang:
            raise failures.too_late(timeout)
        return output

    def _feed(self, data: bytes | None) -> None:
        if data:
            try:
                self.send(data)
            except UnavailableError:
                return  # It ended, or wants no more.
        self.close_stdin()


class Alarm:
    """Closes a stream after some seconds."""

    def __init__(self, stream: Stream[Chunk], seconds: float | None) -> None:
        self.rang = False
        self._stream = stream
        self._timer = (
            threading.Timer(max(0.0, seconds), self._ring) if seconds is not None else None
        )
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """The stream has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _ring(self) -> None:
        self.rang = True
        self._stream.close()


class Deadline:
    """What is left of a time that several steps share."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds; None: no limit."""
        return None if self._end is None else max(0.001, self._end - time.monotonic())

    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self._end is not None and time.monotonic() >= self._end


def open_attachment(transport: Transport, streaming: Streaming[Chunk]) -> Attachment:
    """As ``open_stream``, in both directions."""
    _connection, response = transport.start(streaming.request)
    return Attachment(Wire(response), streaming.decoder(response.head))

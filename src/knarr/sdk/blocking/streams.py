"""Answers that go on: iterators that end, and close their connection, when they are done with."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from knarr.errors import UnavailableError
from knarr.sdk.core import decoders, failures
from knarr.sdk.core.request import Pump
from knarr.sdk.core.values import Chunk, Line, Output

from .transport import translated

if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from knarr.client.connection import Connection, Response
    from knarr.sdk.core.request import Decoder, Streaming
    from knarr.sdk.sources import Writable

    from .transport import Transport
    from .upload import Pieces

T = TypeVar("T")

_BLOCK = 64 * 1024
_SHUT_WR, _SHUT_RDWR = 1, 2


class Source(Protocol):
    """Where a stream reads."""

    def read(self) -> bytes:
        """What arrives next; empty at the end."""

    def close(self) -> None:
        """Close, and wake a thread that reads."""


class Body:
    """The body of an answer."""

    def __init__(
        self, connection: Connection, response: Response, upload: Pieces | None = None
    ) -> None:
        self._connection = connection
        self._chunks = response.chunks()
        self._upload = upload

    def read(self) -> bytes:
        """What arrives next."""
        with translated(None, upload=self._upload):
            return next(self._chunks, b"")

    def close(self) -> None:
        """Close the connection."""
        self._connection.interrupt()
        self._connection.close()


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


class Stream(Generic[T]):
    """An iterator over what the engine sends.

    It closes its connection at its end, at the end of a ``with`` block, by ``close``, and when it
    is dropped. Another thread may close it: iteration then ends.
    """

    def __init__(self, source: Source, decoder: Decoder[bytes, T]) -> None:
        self._source = source
        self._pump = Pump(decoder)
        self._closed = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            while True:
                item = self._pump.take()
                if item is not None:
                    return item
                if self._closed or self._pump.ended:
                    break
                if data := self._source.read():
                    self._pump.push(data)
                else:
                    self._pump.finish()
        except Exception:
            if not self._closed:
                self.close()
                raise
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Close the connection."""
        if not self._closed:
            self._closed = True
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self.close()


def open_stream(
    transport: Transport, streaming: Streaming[T], upload: Pieces | None = None
) -> Stream[T]:
    """Send the request; errors of the engine are raised here."""
    connection, response = transport.start(streaming.request, upload)
    return Stream(Body(connection, response, upload), streaming.decoder(response.head))


class ByteStream(Stream[bytes]):
    """Bytes, such as an archive."""

    def read(self) -> bytes:
        """All of it, in memory."""
        with self:
            return b"".join(self)

    def write_to(self, target: os.PathLike[str] | Writable) -> int:
        """Write all of it to a file, given by its path or open; the number of bytes."""
        if not isinstance(target, os.PathLike):
            with self:
                return _copy(self, target)
        with self, Path(target).open("wb") as file:
            return _copy(self, file)


def _copy(stream: Stream[bytes], file: Writable) -> int:
    size = 0
    for piece in stream:
        file.write(piece)
        size += len(piece)
    return size


def open_bytes(transport: Transport, streaming: Streaming[bytes]) -> ByteStream:
    """As ``open_stream``."""
    connection, response = transport.start(streaming.request)
    return ByteStream(Body(connection, response), streaming.decoder(response.head))


class LineIterator:
    """Lines of a stream; closing it closes the stream."""

    def __init__(self, stream: Stream[Chunk]) -> None:
        self._stream = stream
        self._pump: Pump[Chunk, Line] = Pump(decoders.Lines())

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        while True:
            line = self._pump.take()
            if line is not None:
                return line
            if self._pump.ended:
                raise StopIteration
            chunk = next(self._stream, None)
            if chunk is None:
                self._pump.finish()
            else:
                self._pump.push(chunk)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class OutputStream(Stream[Chunk]):
    """What a program writes: chunks of standard output and standard error, in their order."""

    def lines(self) -> LineIterator:
        """The same as lines."""
        return LineIterator(self)

    def read(self) -> Output:
        """All of it, in memory."""
        pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        with self:
            for chunk in self:
                pieces[chunk.stream].append(chunk.data)
        return Output(b"".join(pieces["stdout"]), b"".join(pieces["stderr"]))


def open_output(transport: Transport, streaming: Streaming[Chunk]) -> OutputStream:
    """As ``open_stream``."""
    connection, response = transport.start(streaming.request)
    return OutputStream(Body(connection, response), streaming.decoder(response.head))


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

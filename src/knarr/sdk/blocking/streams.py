"""Answers that go on: iterators that end, and close their connection, when they are done with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from knarr.sdk.core.request import Pump

from .transport import translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from knarr.client.connection import Connection, Response
    from knarr.sdk.core.request import Decoder, Streaming
    from knarr.sdk.sources import Writable

    from .transport import Transport
    from .upload import Pieces

T = TypeVar("T")


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

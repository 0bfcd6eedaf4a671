"""What programs write, as chunks and as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.sdk.core import decoders
from knarr.sdk.core.request import Pump
from knarr.sdk.core.values import Chunk, Line, Output

from .streams import Body, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.sdk.core.request import Streaming

    from .transport import Transport


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

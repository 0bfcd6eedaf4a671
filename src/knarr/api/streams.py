"""stdcopy: several output streams in one connection, as frames. Sans-I/O.

A frame is one byte with the stream (0 stdin, 1 stdout, 2 stderr, 3 an error of the engine), three
zero bytes, the length of the payload as a big-endian 32-bit number, and the payload. Used when the
container has no terminal; with one, the connection carries raw bytes.

Source: Engine API v1.51, "Stream format" of ``/containers/{id}/attach``.
"""

from __future__ import annotations

from struct import Struct

from knarr.errors import DataLossError

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"

_HEADER = Struct(">BxxxL")


def frame(stream: int, payload: bytes) -> bytes:
    """One frame."""
    return _HEADER.pack(stream, len(payload)) + payload


class Decoder:
    """Takes bytes as they arrive, gives payload as soon as it is there.

    A frame may come out in several pieces: nothing is held back until it is complete, so memory
    does not depend on what length a frame claims.
    """

    def __init__(self) -> None:
        self._stream = STDOUT
        self._left = 0
        self._head = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Pairs of stream and bytes. Raises ``DataLossError`` for a stream that does not exist."""
        pieces: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while position < end:
            if self._left == 0:
                missing = _HEADER.size - len(self._head)
                self._head += data[position : position + missing]
                position += missing
                if len(self._head) == _HEADER.size:
                    self._begin()
                continue
            payload = data[position : position + self._left]
            position += len(payload)
            self._left -= len(payload)
            pieces.append((self._stream, payload))
        return pieces

    def close(self) -> None:
        """Tell that no more bytes come. Raises ``DataLossError`` in the middle of a frame."""
        if self._left or self._head:
            raise DataLossError("the stream ended in the middle of a frame")

    def _begin(self) -> None:
        self._stream, self._left = _HEADER.unpack(self._head)
        self._head = b""
        if self._stream > SYSTEM_ERROR:
            raise DataLossError(f"unrecognized stream: {self._stream}")

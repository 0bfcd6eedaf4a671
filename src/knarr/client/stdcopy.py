"""The multiplexed output of a container without a terminal, as functions over bytes (no I/O).

A frame is eight bytes (the stream's number, three zeros, the payload's length, big-endian) and the
payload. Source: Engine API, ContainerAttach, "Stream format".
"""

from __future__ import annotations

from knarr.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)
_HEADER = 8
_MESSAGE_LIMIT = 64 * 1024


class Demultiplexer:
    """Takes a stream apart, whatever pieces it comes in; a payload is passed on as it arrives."""

    __slots__ = ("_head", "_left", "_message", "_stream")

    def __init__(self) -> None:
        self._head = b""
        self._stream = STDOUT
        self._left = 0
        self._message = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """The parts of payloads that ``data`` completes or continues: the stream, the bytes.

        Errors: ``UnavailableError`` if the stream is no multiplexed stream, or if the engine
        reports an error in it.
        """
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                wanted = _HEADER - len(self._head)
                self._head += data[position : position + wanted]
                position += wanted
                if len(self._head) == _HEADER:
                    self._begin()
                continue
            part = view[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if self._stream == SYSTEM_ERROR:
                self._collect(part)
            else:
                yield self._stream, part

    def _begin(self) -> None:
        self._stream = self._head[0]
        self._left = int.from_bytes(self._head[4:], "big")
        if self._stream > SYSTEM_ERROR or self._head[1:4] != b"\0\0\0":
            raise UnavailableError("the engine sent output that is not multiplexed")
        self._head = b""

    def _collect(self, part: memoryview) -> None:
        self._message = (self._message + bytes(part))[:_MESSAGE_LIMIT]
        if not self._left:
            text = self._message.decode("utf-8", "replace")
            raise UnavailableError(f"error from daemon in stream: {text}")

"""Sending what has no length while the engine already answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.client.upload import Sending
from knarr.errors import UnavailableError
from knarr.sdk import sources

if TYPE_CHECKING:
    import _socket


class Pieces:
    """An upload in chunks (RFC 9112, 7.1).

    ``failure`` is what the caller's own content raised, in the thread that sends; the thread that
    waits for the answer raises it.
    """

    framing = ("Transfer-Encoding", "chunked")

    def __init__(self, source: sources.Source) -> None:
        self._pieces = sources.pieces(source)
        self.failure: Exception | None = None

    def start(self, sock: _socket.socket) -> Sending:
        """Begin to send."""
        return Sending(self._send, sock)

    def _send(self, sock: _socket.socket) -> None:
        while (piece := self._next()) is not None:
            if piece:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")

    def _next(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except Exception as error:
            self.failure = error
            raise UnavailableError("what was to be sent could not be read") from error

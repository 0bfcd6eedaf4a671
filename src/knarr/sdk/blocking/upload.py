"""Sending what has no length while the engine already answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.client.upload import Sending
from knarr.errors import KnarrError, UnavailableError
from knarr.sdk import sources

if TYPE_CHECKING:
    import _socket


class Pieces:
    """An upload in chunks (RFC 9112, 7.1). What the caller's own content raises, the call raises.

    What is neither an ``OSError`` nor a ``KnarrError`` is the cause of an ``UnavailableError``.
    """

    framing = ("Transfer-Encoding", "chunked")

    def __init__(self, source: sources.Source) -> None:
        self._pieces = sources.pieces(source)

    def start(self, sock: _socket.socket) -> Sending:
        """Begin to send."""
        return Sending(self._send, sock)

    def _send(self, sock: _socket.socket) -> None:
        try:
            for piece in self._pieces:
                if piece:
                    sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
        except (OSError, KnarrError):
            raise
        except Exception as error:
            raise UnavailableError(f"what was to be sent failed: {error!r}") from error

"""Request bodies that are too large to hold: files and pipes.

The engine may answer while the body is still being sent (progress, or a refusal). So a second
thread sends, and nobody waits for the other with a full buffer.
"""

from __future__ import annotations

import _thread
import os
from _socket import SHUT_RDWR

from knarr.errors import DataLossError, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import BinaryIO, Protocol

    class Upload(Protocol):
        """A body that sends itself."""

        @property
        def framing(self) -> tuple[str, str]:
            """The header that says how the body ends."""

        def start(self, sock: _socket.socket) -> Sending:
            """Begin to send the whole body."""


_BLOCK = 256 * 1024


class Sending:
    """An upload under way. ``error`` is why it could not be completed by this side."""

    def __init__(self, send: Callable[[_socket.socket], None], sock: _socket.socket) -> None:
        self.error: Exception | None = None
        _thread.start_new_thread(self._run, (send, sock))

    def _run(self, send: Callable[[_socket.socket], None], sock: _socket.socket) -> None:
        try:
            send(sock)
        except (BrokenPipeError, ConnectionResetError):
            return  # The engine's answer says why it took no more.
        except (OSError, KnarrError) as error:
            self.error = error
            try:
                sock.shutdown(SHUT_RDWR)
            except OSError:
                return


class FileUpload:
    """A regular file, sent by the kernel (sendfile(2)); ``fd`` stays the caller's.

    ``progress`` is called with the bytes sent so far.
    """

    def __init__(self, fd: int, size: int, progress: Callable[[int], None]) -> None:
        self._fd = fd
        self._size = size
        self._progress = progress

    @property
    def framing(self) -> tuple[str, str]:
        """The length is known."""
        return "Content-Length", str(self._size)

    def start(self, sock: _socket.socket) -> Sending:
        """Begin to send the file."""
        return Sending(self.send, sock)

    def send(self, sock: _socket.socket) -> None:
        """Send exactly the size that was announced; ``DataLossError`` if the file shrank."""
        offset = 0
        while offset < self._size:
            count = os.sendfile(
                sock.fileno(), self._fd, offset, min(_BLOCK * 4, self._size - offset)
            )
            if count == 0:
                raise DataLossError("the file became shorter while it was sent")
            offset += count
            self._progress(offset)


class StreamUpload:
    """A pipe, a terminal or anything else without a length, sent in chunks (RFC 9112, 7.1)."""

    def __init__(self, fd: int, progress: Callable[[int], None]) -> None:
        self._fd = fd
        self._progress = progress

    @property
    def framing(self) -> tuple[str, str]:
        """The end is marked by an empty chunk."""
        return "Transfer-Encoding", "chunked"

    def start(self, sock: _socket.socket) -> Sending:
        """Begin to send the stream."""
        return Sending(self.send, sock)

    def send(self, sock: _socket.socket) -> None:
        """Send until the end of the stream."""
        sent = 0
        while block := os.read(self._fd, _BLOCK):
            sock.sendall(b"%x\r\n%b\r\n" % (len(block), block))
            sent += len(block)
            self._progress(sent)
        sock.sendall(b"0\r\n\r\n")


class WrittenUpload:
    """What a function writes, sent in chunks as it comes. ``progress`` gets the sizes of pieces."""

    def __init__(self, write: Callable[[BinaryIO], None], progress: Callable[[int], None]) -> None:
        self._write = write
        self._progress = progress

    @property
    def framing(self) -> tuple[str, str]:
        """The end is marked by an empty chunk."""
        return "Transfer-Encoding", "chunked"

    def start(self, sock: _socket.socket) -> Sending:
        """Begin to write and to send."""
        return Sending(self.send, sock)

    def send(self, sock: _socket.socket) -> None:
        """Send until the function has written everything."""
        chunks = _Chunks(sock, self._progress)
        self._write(chunks)  # type: ignore[arg-type]  # only ``write`` is used of the file
        chunks.flush()
        sock.sendall(b"0\r\n\r\n")


class _Chunks:
    """A file that sends what is written to it."""

    def __init__(self, sock: _socket.socket, progress: Callable[[int], None]) -> None:
        self._sock = sock
        self._progress = progress
        self._waiting: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> int:
        """Take ``data``, and send it when there is enough."""
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= _BLOCK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Send what is waiting."""
        if not self._bytes:
            return
        self._sock.sendall(b"%x\r\n%b\r\n" % (self._bytes, b"".join(self._waiting)))
        self._progress(self._bytes)
        self._waiting, self._bytes = [], 0

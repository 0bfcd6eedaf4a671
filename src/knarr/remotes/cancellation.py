"""Letting what is under way in other threads end soon."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from knarr.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class CancelledError(UnavailableError):
    """Who asked does not want it any more."""


class Cancellation:
    """A flag, and the sockets that somebody waits for; thread-safe."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._waiting: set[socket.socket] = set()

    def cancel(self) -> None:
        """Wake up everybody who waits; whatever is begun later fails at once."""
        self._set.set()
        with self._lock:
            for sock in self._waiting:
                with contextlib.suppress(OSError, ValueError):
                    sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise ``CancelledError`` when it was cancelled."""
        if self._set.is_set():
            raise CancelledError("context canceled")

    def sleep(self, seconds: float) -> None:
        """Wait, and raise ``CancelledError`` as soon as it is cancelled."""
        self._set.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waiting(self, sock: socket.socket) -> Iterator[None]:
        """Around a wait for ``sock``."""
        with self._lock:
            self._waiting.add(sock)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._waiting.discard(sock)

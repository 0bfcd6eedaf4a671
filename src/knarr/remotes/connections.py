"""Connections that a hostile peer can neither hold for ever nor fill the memory through.

http.client limits the length of a header and their number. What it does not limit is done here,
below it: how slowly bytes may come, how many there are before the body begins, and how long a
cancelled reader waits. urllib3 is imported with this module.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from knarr.remotes.cancellation import Cancellation

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

_MOST_HEADERS = 256 << 10
_LEAST = 1024
_BUFFER = 64 << 10


class _Line(threading.local):
    """What the exchange that this thread is about to begin gives to its connection."""

    cancellation: Cancellation = Cancellation()
    crawl: float = 120.0


LINE = _Line()


class _Watched(io.RawIOBase):
    """The bytes of a socket, while they come as they should."""

    def __init__(self, below: io.RawIOBase, sock: socket.socket) -> None:
        self._below = below
        self._sock = sock
        self._cancellation = LINE.cancellation
        self._crawl = LINE.crawl
        self._waited = 0.0
        self._came = 0
        self.left: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        began = time.monotonic()
        with self._cancellation.waiting(self._sock):
            count = self._below.readinto(buffer)
        self._cancellation.check()
        self._waited += time.monotonic() - began
        self._came += count or 0
        if self.left is not None:
            self.left -= count or 0
            if self.left < 0:
                raise http.client.HTTPException("the headers are too long")
        if self._came >= _LEAST:
            self._waited, self._came = 0.0, 0
        elif self._waited > self._crawl:
            raise TimeoutError("the registry sends too slowly")
        return count

    def close(self) -> None:
        self._below.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        below = self.fp.detach()
        self._watched = _Watched(below, sock)
        self.fp = io.BufferedReader(self._watched, _BUFFER)

    def begin(self) -> None:
        self._watched.left = _MOST_HEADERS + _BUFFER
        super().begin()
        self._watched.left = None
        lengths = set(self.headers.get_all("Content-Length") or ())
        if len(lengths) > 1 or not all(each.isascii() and each.isdigit() for each in lengths):
            raise http.client.HTTPException("malformed HTTP response: bad Content-Length")


class _Http(HTTPConnection):
    response_class = _Response


class _Https(HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        super().connect()
        self.is_verified = True  # or not, as the administrator decided: no warning at every request


class HttpPool(HTTPConnectionPool):
    """Connections to one host by HTTP."""

    ConnectionCls = _Http


class HttpsPool(HTTPSConnectionPool):
    """Connections to one host by HTTPS."""

    ConnectionCls = _Https


POOLS = {"http": HttpPool, "https": HttpsPool}

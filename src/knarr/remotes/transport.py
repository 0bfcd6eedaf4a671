"""One exchange over HTTP: a request that is sent, an answer whose body is still to be read.

Knows nothing of registries: no authentication, no redirects, no second attempt. Failures come out
as ``DroppedError`` in the words that Go's HTTP client has for them, which Docker's users know.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import urllib3
from urllib3 import exceptions as failures

from knarr.remotes import drops, proxies
from knarr.remotes.connections import LINE, POOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from urllib3.connectionpool import HTTPConnectionPool

    from knarr.remotes.cancellation import Cancellation
    from knarr.remotes.tls import Tls
    from knarr.remotes.urls import Url
    from knarr.remotes.values import Patience

    Body = bytes | Callable[[], Iterable[bytes]]

_MANAGERS = 32
_HOSTS = 32
_IDLE = 8  # connections that wait for their next use, for each host
_BLOCK = 256 << 10
_DRAINED = 16 << 10
_SLOWLY = 5

# It writes down whole addresses, also those with a secret in their query.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class Exchange(NamedTuple):
    """What is to be sent. ``length`` of a body that is made; it is made again for each attempt.

    ``is_slow``: the answer may take its time, because much has to be stored before it.
    """

    method: str
    url: Url
    headers: Mapping[str, str]
    body: Body | None = None
    length: int | None = None
    is_slow: bool = False


class Answer:
    """The answer to an exchange; ``close`` it, or read its body to the end."""

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        url: Url,
        method: str,
        cancellation: Cancellation,
    ) -> None:
        self._response = response
        self._cancellation = cancellation
        self.url = url
        self.method = method
        self.status = response.status
        self.headers = response.headers

    def header(self, name: str) -> str:
        """The header of that name, or ""."""
        return self.headers.get(name, "")

    @property
    def length(self) -> int | None:
        """The length of the body, as far as it was said."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def read(self, count: int) -> bytes:
        """Some bytes of the body as they came, at most ``count``; b"" at its end.

        Raises ``DroppedError`` when it ends before its end.
        """
        try:
            return self._response.read1(count, decode_content=False) or b""
        except (failures.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            self._cancellation.check()
            raise drops.dropped(error, self.method, self.url) from error

    def document(self, limit: int) -> bytes | None:
        """The whole body, or None when it has more than ``limit`` bytes."""
        chunks, size = [], 0
        try:
            if self.method == "HEAD":
                return b""
            if (self.length or 0) > limit:
                return None
            while chunk := self.read(min(limit + 1, _BLOCK)):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    return None
            return b"".join(chunks)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the connection; it is used again when nothing is left in it."""
        left = self._response.length_remaining
        try:
            while left and left <= _DRAINED and self._response.read1(left, decode_content=False):
                left = self._response.length_remaining
        except (failures.HTTPError, http.client.HTTPException, OSError, ValueError):
            pass  # it is closed all the more
        if left == 0:
            self._response.release_conn()
        self._response.close()


class Transport:
    """Pools of connections, one for each host; thread-safe."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._managers: dict[tuple[Tls, str], urllib3.PoolManager] = {}

    def exchange(self, exchange: Exchange, tls: Tls, cancellation: Cancellation) -> Answer:
        """Send, and wait for the head of the answer; raises ``DroppedError``."""
        cancellation.check()
        url, body = exchange.url, exchange.body
        headers = dict(exchange.headers)
        if exchange.length is not None:
            headers["Content-Length"] = str(exchange.length)
        LINE.cancellation, LINE.crawl = cancellation, self._patience.crawl
        pool = self._pool(url, tls)
        is_forwarded = pool.proxy is not None and url.origin.scheme == "http"
        try:
            response = pool.urlopen(
                exchange.method,
                f"{url.origin}{url.target}" if is_forwarded else url.target,
                body=body() if callable(body) else body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout(is_slow=exchange.is_slow),
                preload_content=False,
                decode_content=False,
            )
        except (failures.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            cancellation.check()
            raise drops.dropped(error, exchange.method, url) from error
        return Answer(response, url, exchange.method, cancellation)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()

    def _timeout(self, *, is_slow: bool) -> urllib3.Timeout:
        silence = self._patience.silence * (_SLOWLY if is_slow else 1)
        return urllib3.Timeout(connect=self._patience.connect, read=silence)

    def _pool(self, url: Url, tls: Tls) -> HTTPConnectionPool:
        origin = url.origin
        proxy = proxies.proxy_for(origin.scheme, origin.netloc)
        key = (tls, proxy)
        with self._lock:
            manager = self._managers.get(key)
            if manager is None:
                if len(self._managers) >= _MANAGERS:
                    self._managers.pop(next(iter(self._managers))).clear()
                manager = self._managers[key] = _manager(tls, proxy)
        return manager.connection_from_host(origin.host, origin.port, origin.scheme)


def _manager(tls: Tls, proxy: str) -> urllib3.PoolManager:
    settings: dict[str, Any] = {
        "maxsize": _IDLE,
        "ssl_context": tls.context(),
        "blocksize": _BLOCK,
        "cert_reqs": ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE,
    }
    if proxy:
        address, headers = proxies.split(proxy)
        settings["proxy_headers"] = headers
        manager: urllib3.PoolManager = urllib3.ProxyManager(address, _HOSTS, **settings)
    else:
        manager = urllib3.PoolManager(_HOSTS, **settings)
    manager.pool_classes_by_scheme = POOLS
    return manager

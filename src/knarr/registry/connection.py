"""One connection: what aiohttp does with it, and what is answered before that.

Asking for a manifest is what clients do most, and its answer is ready: it is put together once for
each digest, and only whether the repository (still) has it is looked up. So a plain request for
one, alone in what has just been received, is answered at once. Everything else goes its usual way.

A connection that says nothing is closed after a while, and a head that is too large gets 431.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from knarr.registry import names
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from knarr.oci.digest import Digest
    from knarr.registry.rules import Rules

    Quick = Callable[[bytes], bytes | None]

_SILENCE_SECONDS = 60.0
_LONGEST_QUICK = 2048
_MOST_BYTES = 32 << 20
_LARGEST_KEPT = 256 << 10
_BEGIN, _NOUN, _END = b"GET /v2/", "/manifests/", b"\r\n\r\n"
_KEPT = b"\r\nconnection: keep-alive\r\n"
_USUAL_WAY = (
    b"\r\nif-",
    b"\r\nconnection:",
    b"\r\nexpect",
    b"\r\ncontent-",
    b"\r\ntransfer-",
)


class Server(web.Server):
    """Makes the protocol of each connection. ``quick`` knows the bytes of an answer, or not."""

    def __init__(self, handler: Any, quick: Quick | None, **options: Any) -> None:
        super().__init__(handler, **options)
        self._quick = quick

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return _Connection(self, quick=self._quick, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ("_is_plain", "_quick", "_silence")

    def __init__(self, manager: Server, *, quick: Quick | None, **options: Any) -> None:
        super().__init__(manager, **options)
        self._quick = quick
        self._is_plain = True  # everything so far was whole requests without a body
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._silence = self._loop.call_later(_SILENCE_SECONDS, self._is_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._silence is not None:
            self._silence.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_plain or self._quick is None:
            super().data_received(data)
            return
        is_whole = data.endswith(_END) and data.find(_END) == len(data) - len(_END)
        if (
            is_whole
            and data.startswith(_BEGIN)
            and len(data) <= _LONGEST_QUICK
            and self._waiter is not None  # nothing is being answered
            and not self._waiter.done()
            and not self._messages
            and not self._paused
            and self.transport is not None
        ):
            answer = self._quick(data)
            if answer is not None:
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                self.transport.write(answer)
                return
        self._is_plain = is_whole and data.startswith((b"GET ", b"HEAD "))
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, LineTooLong):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return super().handle_error(request, status, exc, message)

    def _is_silent(self) -> None:
        if not self._request_count and self.transport is not None:
            self.transport.close()


class QuickManifests:
    """Answers to plain requests for manifests, where everyone may ask and nobody counts."""

    def __init__(self, rules: Rules, header: tuple[str, str]) -> None:
        self._rules = rules
        self._header = f"{header[0]}: {header[1]}"
        self._ready: dict[Digest, tuple[bytes, bytes]] = {}
        self._size = 0
        self._second, self._date = 0, b""

    def __call__(self, request: bytes) -> bytes | None:
        """The whole answer to a request, None for one that goes the usual way."""
        line, _, rest = request.partition(b"\r\n")
        if not line.endswith(b" HTTP/1.1") or b"host:" not in rest.lower():
            return None
        head = (b"\r\n" + rest.lower()).replace(_KEPT, b"\r\n")
        if any(each in head for each in _USUAL_WAY):
            return None
        try:
            repository, noun, reference = line[len(_BEGIN) : -9].decode("ascii").partition(_NOUN)
            if not noun or not names.is_repository(repository):
                return None
            digest = self._digest(repository, reference)
        except (UnicodeDecodeError, RefusedError):
            return None
        if digest is None:
            return None
        ready = self._ready.get(digest) or self._made(repository, digest)
        return None if ready is None else ready[0] + self._now() + ready[1]

    def _digest(self, repository: str, reference: str) -> Digest | None:
        """The digest of a manifest that the repository has at this moment."""
        metadata = self._rules.metadata
        if not names.is_digest(reference):
            return metadata.tag(repository, names.tag(reference))
        digest = names.digest(reference)
        return digest if metadata.has_manifest(repository, digest) else None

    def _made(self, repository: str, digest: Digest) -> tuple[bytes, bytes] | None:
        row = self._rules.metadata.manifest(repository, digest)
        if row is None or len(row.raw) > _LARGEST_KEPT:
            return None
        if self._size + len(row.raw) > _MOST_BYTES:
            self._ready.clear()
            self._size = 0
        head = (
            f"HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n"
            f'ETag: "{digest}"\r\nContent-Type: {row.media_type}\r\n'
            f"Content-Length: {len(row.raw)}\r\n{self._header}\r\nDate: "
        )
        made = (head.encode(), _END + row.raw)
        self._ready[digest] = made
        self._size += len(row.raw)
        return made

    def _now(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date

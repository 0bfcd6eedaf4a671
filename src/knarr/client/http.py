"""HTTP/1.1 requests and responses as functions over bytes (no I/O).

Source: RFC 9112. Only what an engine sends to a client is understood: no folded header lines.
"""

from __future__ import annotations

from knarr.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 64 * 1024
"""The most bytes a response's head may have."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class MalformedResponseError(UnavailableError):
    """What answers at the engine's address does not speak HTTP/1.1."""


def quote(text: str, safe: bytes = b"") -> str:
    """Percent-encode for a path segment or a query value (RFC 3986)."""
    raw = text.encode("utf-8", "surrogateescape")
    if _UNRESERVED.issuperset(raw):
        return text
    return "".join(chr(b) if b in _UNRESERVED or b in safe else f"%{b:02X}" for b in raw)


def query(parameters: Iterable[tuple[str, str | int | bool]]) -> str:
    """A query string, with its ``?`` unless empty; booleans become ``1`` and ``0``."""
    pairs = [
        f"{quote(name)}={quote(value) if isinstance(value, str) else int(value)}"
        for name, value in parameters
    ]
    return "?" + "&".join(pairs) if pairs else ""


def request(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The bytes of a request's head."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Head:
    """A response's status, reason and headers (names in lower case, the last one wins)."""

    __slots__ = ("headers", "reason", "status")

    def __init__(self, status: int, reason: str, headers: dict[str, str]) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers

    @property
    def chunked(self) -> bool:
        """Whether the body is in chunks."""
        return self.headers.get("transfer-encoding", "").lower().endswith("chunked")

    @property
    def length(self) -> int | None:
        """The body's length if the head says it.

        Errors: ``MalformedResponseError`` if what it says is no length.
        """
        text = self.headers.get("content-length")
        if text is None:
            return None
        if not text.isdecimal():
            raise MalformedResponseError(f'the engine sent the bad Content-Length "{text}"')
        return int(text)

    @property
    def closes(self) -> bool:
        """Whether the engine closes the connection after this response."""
        return "close" in self.headers.get("connection", "").lower()


def parse(raw: bytes) -> Head:
    """Understand a head, given without its empty line.

    Errors: ``MalformedResponseError`` if it is not HTTP/1.
    """
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise MalformedResponseError(f'the engine answered with "{first[:80]}", which is not HTTP')
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedResponseError(f'the engine sent the bad header line "{line[:80]}"')
        headers[name.lower()] = value.strip(" \t")
    return Head(int(code), reason, headers)


class Body:
    """Takes the body of a response out of what arrives, whatever pieces it comes in.

    ``done`` becomes true at its end; ``rest`` is then what was read beyond it. A body without a
    length and without chunks (``endless``) ends with the connection.
    """

    __slots__ = ("_chunked", "_left", "_text", "_trailers", "done", "endless", "rest")

    def __init__(self, head: Head, *, bodyless: bool) -> None:
        self._chunked = head.chunked and not bodyless
        length = 0 if bodyless else head.length
        self._left = 0 if self._chunked else length or 0
        self._text = b""  # Of a chunk's head that has not come whole.
        self._trailers = False
        self.endless = not self._chunked and length is None
        self.done = not self._chunked and length == 0
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in ``data``.

        Errors: ``MalformedResponseError``.
        """
        if self.done:
            self.rest += data
            return []
        if self.endless:
            return [data]
        if self._chunked:
            return self._chunks(data)
        piece = data[: self._left]
        self._left -= len(piece)
        self.done = not self._left
        self.rest = data[len(piece) :]
        return [piece]

    def end(self) -> None:
        """The connection ended.

        Errors: ``UnavailableError`` if the body did not.
        """
        if not self.endless and not self.done:
            raise UnavailableError("the engine hung up before its answer was complete")

    def _chunks(self, data: bytes) -> list[bytes]:
        """RFC 9112, 7.1. ``_left`` counts a chunk and the line's end behind it; extensions and
        trailers are dropped.
        """
        pieces = []
        data = self._text + data
        self._text = b""
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                if self._left > 2:
                    pieces.append(data[position : position + self._left - 2])
                step = min(self._left, end - position)
                self._left -= step
                position += step
                continue
            stop = data.find(b"\r\n", position)
            if stop < 0:
                if end - position > LIMIT:
                    raise MalformedResponseError("the engine sent an endless line")
                break
            self._line(data[position:stop])
            position = stop + 2
        if self.done:
            self.rest = data[position:]
        else:
            self._text = data[position:]
        return pieces

    def _line(self, line: bytes) -> None:
        if self._trailers:
            self.done = not line
            return
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            size = -1
        if size < 0:
            raise MalformedResponseError("the engine sent a bad chunk length")
        self._trailers = size == 0
        self._left = size + 2 if size else 0

"""The head of an HTTP/1.1 request and response, as functions over bytes (no I/O).

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

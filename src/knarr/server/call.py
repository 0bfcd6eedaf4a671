"""One request, as handlers see it: parameters in Docker's forms, the JSON body, the body's stream.

The forms are Docker's: a flag is false for "", 0, no, false and none, and everything else is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from knarr.api import filters, requests
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from knarr.engine.engine import Engine

    from .connection import Connection

T = TypeVar("T")

#: The largest JSON body that is read.
MAX_BODY = 4 << 20

_FALSE = frozenset(("", "0", "no", "false", "none"))


class Call(NamedTuple):
    """A request, the engine it is for, the object its path names, the API version it speaks."""

    request: web.BaseRequest
    engine: Engine
    name: str
    version: tuple[int, int]

    @property
    def connection(self) -> Connection:
        """The connection that the request came on."""
        return cast("Connection", self.request.protocol)

    def text(self, key: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.request.query.get(key, default)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean parameter of the query."""
        value = self.request.query.get(key)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, key: str) -> int | None:
        """A whole number of the query, or None where it is missing or empty."""
        value = self.text(key)
        if not value:
            return None
        digits = value[1:] if value[0] in "+-" else value
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise InvalidArgumentError(f'strconv.Atoi: parsing "{value}": invalid syntax')
        return int(value)

    def filters(self) -> dict[str, list[str]]:
        """The ``filters`` of the query."""
        return filters.parse(self.text("filters"))

    async def body(self, kind: type[T]) -> T:
        """The JSON body, as a message of this kind."""
        data = await self._read()
        if data:
            self._require_json()
        return requests.decode(kind, data)

    async def optional_body(self, kind: type[T]) -> T | None:
        """The JSON body, or None where there is none, or only ``null``."""
        data = await self._read()
        if not data:
            return None
        self._require_json()
        return None if data.strip() == b"null" else requests.decode(kind, data)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes, whatever its size."""
        self._answer_expectation()
        async for chunk in self.request.content.iter_any():
            yield chunk

    def abort(self) -> None:
        """Cut the connection, so that the client cannot take what it got for the whole answer."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def _read(self) -> bytes:
        if not self.request.body_exists:
            return b""
        self._answer_expectation()
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.request.content.iter_any():
            size += len(chunk)
            if size > MAX_BODY:
                raise InvalidArgumentError(f"request body is larger than {MAX_BODY} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _answer_expectation(self) -> None:
        expected = self.request.headers.get("Expect", "").lower() == "100-continue"
        if expected and self.request.transport is not None:
            self.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _require_json(self) -> None:
        given = self.request.headers.get("Content-Type", "")
        media_type = given.partition(";")[0].strip().lower()
        if not media_type:
            raise InvalidArgumentError("malformed Content-Type header (): mime: no media type")
        if media_type != "application/json":
            raise InvalidArgumentError(
                f"unsupported Content-Type header ({given}): must be 'application/json'"
            )

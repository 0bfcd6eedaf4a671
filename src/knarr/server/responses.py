"""Answers: JSON, errors in Docker's form, and streams that begin with their first item.

Law: a stream writes its head only when there is something to say, so that an error before that is
an ordinary error with its status; an error after it is a line of the stream (progress) or cuts the
connection (archives), so that no client takes a broken answer for a whole one.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from knarr import __version__
from knarr.api import images
from knarr.api.message import encode
from knarr.api.system import API_VERSION, ErrorResponse
from knarr.errors import KnarrError, NotModifiedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from .call import Call

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_COMMON = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"knarr/{__version__} (linux)",
}
_JSON = CIMultiDict({**_COMMON, "Content-Type": "application/json"})


def headers(content_type: str | None = None) -> CIMultiDict[str]:
    """The headers of every answer, to be added to."""
    made = CIMultiDict(_COMMON)
    if content_type is not None:
        made["Content-Type"] = content_type
    return made


def json(value: object, status: int = 200) -> web.Response:
    """An answer with a message of the API, or a list or map of them."""
    return web.Response(body=encode(value) + b"\n", status=status, headers=_JSON)


def empty(status: int = 204) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status, headers=_COMMON)


def error(failure: BaseException) -> web.Response:
    """The answer for an exception; what is not a ``KnarrError`` is logged with its traceback."""
    if isinstance(failure, NotModifiedError):
        return empty(304)
    if not isinstance(failure, KnarrError):
        _LOG.error("an unexpected error in a request", exc_info=failure)
        return json(ErrorResponse(message=message_of(failure)), 500)
    if failure.http_status >= 500:
        _LOG.warning("%s%s", failure, f": {failure.detail}" if failure.detail else "")
    # Bytes of the client that are no text may stand in the message.
    message = str(failure).encode(errors="backslashreplace").decode()
    return json(ErrorResponse(message=message), failure.http_status)


def message_of(failure: BaseException) -> str:
    """What a client may read of an exception."""
    if isinstance(failure, KnarrError):
        return str(failure)
    return f"internal error ({type(failure).__name__}); the engine's log says more"


@contextlib.asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close an asynchronous generator at the end, also when it was not read to its end."""
    try:
        yield items
    finally:
        aclose = getattr(items, "aclose", None)
        if aclose is not None:
            await aclose()


async def begin(
    call: Call, content_type: str, extra: dict[str, str] | None = None
) -> web.StreamResponse:
    """Send the head of a stream."""
    made = headers(content_type)
    made.update(extra or {})
    response = web.StreamResponse(headers=made)
    if call.request.version >= (1, 1):
        response.enable_chunked_encoding()
    else:
        response.force_close()
    await response.prepare(call.request)
    return response


async def stream(
    call: Call,
    content_type: str,
    items: AsyncIterator[bytes],
    *,
    wait_for_first: bool = True,
    extra: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Send bytes; a late error cuts the connection.

    ``wait_for_first`` False sends the head at once: of a log that is followed, nothing may come.
    ``extra`` are further headers. A client that goes away is no error: many stop reading at the end
    of an archive, before the end of the answer.
    """
    async with closing(items):
        first = await anext(items, None) if wait_for_first else None
        response = await begin(call, content_type, extra)
        try:
            if first is not None and not await _taken(response.write(first)):
                return response
            async for chunk in items:
                if not await _taken(response.write(chunk)):
                    return response
        except ConnectionError:
            raise
        except Exception as failure:
            unexpected = not isinstance(failure, KnarrError)
            _LOG.warning("a stream broke off: %s", failure, exc_info=unexpected)
            call.abort()
            raise ConnectionResetError("the stream broke off") from failure
    await _taken(response.write_eof())
    return response


async def _taken(writing: Awaitable[None]) -> bool:
    """Write something; False when the client has gone."""
    try:
        await writing
    except ConnectionError:
        return False
    return True


async def progress(call: Call, items: AsyncIterator[images.Progress]) -> web.StreamResponse:
    """Send lines of progress; a late error is the last line."""
    async with closing(items):
        first = await anext(items, None)
        response = await begin(call, "application/json")
        try:
            if first is not None:
                await response.write(encode(first) + b"\r\n")
            async for item in items:
                await response.write(encode(item) + b"\r\n")
        except ConnectionError:
            raise
        except Exception as failure:  # noqa: BLE001 - the head is out: it becomes a line
            if not isinstance(failure, KnarrError):
                _LOG.exception("an unexpected error in a stream of progress")
            text = message_of(failure)
            line = images.Progress(error=text, error_detail=images.ErrorDetail(message=text))
            await response.write(encode(line) + b"\r\n")
    await response.write_eof()
    return response

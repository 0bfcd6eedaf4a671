"""Reading and deleting blobs (end-2, end-10 of the specification).

The bytes go from the file to the socket by sendfile(2) where the storage has a file and the
connection no TLS.
"""

from __future__ import annotations

import asyncio
import io
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from aiohttp import web

from knarr.errors import KnarrError, NotFoundError
from knarr.registry import access, names, refusals
from knarr.registry.call import empty
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from knarr.oci.digest import Digest
    from knarr.registry.call import Answer, Call
    from knarr.registry.proxy.transfer import Transfer

_CHUNK = 1 << 18


async def handle(call: Call) -> Answer:
    """``/v2/<name>/blobs/<digest>``."""
    digest = names.digest(call.last)
    if call.method == "DELETE":
        call.check(access.DELETE)
        await call.run(call.rules.delete_blob, call.repository, digest)
        return empty(HTTPStatus.ACCEPTED)
    call.check(access.PULL)
    transfer, size = await _found(call, digest)
    tag = f'"{digest}"'
    headers = {
        "Docker-Content-Digest": digest,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
        "Content-Type": "application/octet-stream",
    }
    if tag in call.request.headers.get("If-None-Match", ""):
        return empty(HTTPStatus.NOT_MODIFIED, headers)
    if transfer is not None:
        if "Range" not in call.request.headers:
            return await _pass_on(call, transfer, headers)
        await transfer.ended()
    part = _part(call.request.headers.get("Range", ""), size)
    if part is None or call.request.headers.get("If-Range", tag) != tag:
        status, part = HTTPStatus.OK, _Part(0, size)
    else:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.size - 1}/{size}"
    if call.method == "HEAD":
        if call.caller.may(access.PUSH, call.repository):
            await call.touched(digest)
        return empty(status, {**headers, "Content-Length": str(part.size)})
    try:
        blob = await call.run(call.rules.driver.open, digest)
    except NotFoundError:
        raise RefusedError(refusals.BLOB_UNKNOWN, {"digest": digest}) from None
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = part.size
    with blob:
        await response.prepare(call.request)
        await _send(call, response, blob, part)
    await response.write_eof()
    return response


async def _found(call: Call, digest: Digest) -> tuple[Transfer | None, int]:
    """The size of a blob, and where it comes from if it is still on its way here."""
    if call.proxy is None:
        return None, await call.read(call.rules.blob_size, call.repository, digest)
    if call.method == "HEAD":
        return None, await call.proxy.blob_size(call.repository, digest)
    transfer = await call.proxy.transfer(call.repository, digest)
    if transfer is not None:
        return transfer, transfer.size
    return None, await call.run(call.rules.blob_size, call.repository, digest)


async def _pass_on(call: Call, transfer: Transfer, headers: dict[str, str]) -> Answer:
    """Send a blob while it comes. When it turns out to be wrong, the connection breaks."""
    with transfer:
        data = await transfer.read(0, _CHUNK)  # what fails by now can still be told
        response = web.StreamResponse(headers=headers)
        response.content_length = transfer.size
        await response.prepare(call.request)
        position = 0
        while data:
            await response.write(data)
            position += len(data)
            try:
                data = await transfer.read(position, _CHUNK)
            except KnarrError as error:
                raise ConnectionError("the upstream failed") from error
        await response.write_eof()
    return response


class _Part(NamedTuple):
    start: int
    size: int


def _part(header: str, size: int) -> _Part | None:
    """The bytes that a Range header asks for, None for all of them (RFC 9110 section 14.2).

    Several ranges, other units and nonsense mean all. Raises ``RefusedError`` for what lies behind
    the end.
    """
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or "," in spec:
        return None
    if not (first.isdecimal() or not first) or not (last.isdecimal() or not last):
        return None
    if not first:
        if not last:
            return None
        wanted = min(int(last), size)
        start, end = size - wanted, size
    else:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        code = refusals.Code(
            refusals.RANGE_INVALID.name, refusals.RANGE_INVALID.status, "range behind the end"
        )
        raise RefusedError(code, headers={"Content-Range": f"bytes */{size}"})
    return _Part(start, end - start)


async def _send(call: Call, response: web.StreamResponse, blob: BinaryIO, part: _Part) -> None:
    if not part.size:
        return
    loop, transport = asyncio.get_running_loop(), call.request.transport
    if transport is not None and _is_file(blob) and not transport.get_extra_info("sslcontext"):
        await loop.sendfile(transport, blob, part.start, part.size)
        return
    await call.run(blob.seek, part.start)
    left = part.size
    while left:
        chunk = await call.run(blob.read, min(left, _CHUNK))
        if not chunk:
            raise ConnectionError("the blob ended early")
        left -= len(chunk)
        await response.write(chunk)


def _is_file(blob: BinaryIO) -> bool:
    try:
        blob.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return False
    return True

"""Bringing blobs in (end-4, end-5, end-6, end-11, end-13 of the specification)."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from knarr.registry import access, names, refusals
from knarr.registry.call import empty
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from knarr.registry.call import Answer, Call
    from knarr.registry.uploads import Upload

_PIECE = 1 << 20
_SILENCE_SECONDS = 300.0  # for each piece
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\*|\d+))?", re.ASCII)


async def begin(call: Call) -> Answer:
    """``POST /v2/<name>/blobs/uploads/``: mount, take a whole blob, or begin an upload."""
    call.check(access.PUSH)
    if wanted := call.parameter("mount"):
        digest = names.digest(wanted)
        source = call.parameter("from")
        if source:
            names.repository(source)

        def may_read(repository: str) -> bool:
            return call.caller.may(access.PULL, repository)

        if await call.run(call.rules.mount, call.repository, digest, source, may_read):
            return _made(call, digest)
    whole = call.parameter("digest")
    named = names.digest(whole) if whole else None
    upload = await call.run(call.rules.uploads.begin, call.repository)
    if named is None:
        return _accepted(call, upload)
    try:
        await _receive(call, upload)
        await call.run(call.rules.finish_upload, upload, named)
    except BaseException:
        await asyncio.shield(call.run(call.rules.uploads.abort, upload))
        raise
    return _made(call, named)


async def go_on(call: Call) -> Answer:
    """``/v2/<name>/blobs/uploads/<id>``: the state, a chunk, the end, or giving up."""
    call.check(access.PUSH)
    look = call.run if call.rules.driver.shared else call.read
    upload = await look(call.rules.uploads.get, call.repository, call.last)
    if call.method in {"GET", "HEAD"}:
        await call.run(upload.sync)
        return _accepted(call, upload, HTTPStatus.NO_CONTENT)
    if call.method == "DELETE":
        await call.run(call.rules.uploads.abort, upload)
        return empty(HTTPStatus.NO_CONTENT)
    _check_range(call, upload)
    if call.method == "PATCH":
        await _receive_some(call, upload)
        await call.run(upload.sync)
        return _accepted(call, upload)
    if call.method != "PUT":
        raise RefusedError(refusals.UNSUPPORTED)
    digest = names.digest(call.parameter("digest"))
    await _receive_some(call, upload)
    await call.run(call.rules.finish_upload, upload, digest)
    return _made(call, digest)


async def _receive_some(call: Call, upload: Upload) -> None:
    """Receive; what came before the connection broke is kept, also for other servers."""
    try:
        await _receive(call, upload)
    except (ConnectionError, asyncio.CancelledError):
        await asyncio.shield(call.run(upload.sync))
        raise


async def _receive(call: Call, upload: Upload) -> None:
    """Append the body: one piece is stored and hashed while the next one comes in."""
    under_way: asyncio.Future[None] | None = None
    piece = bytearray()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_SILENCE_SECONDS) as limit:
            async for data in call.request.content.iter_any():
                piece += data
                if len(piece) < _PIECE:
                    continue
                if under_way is not None:
                    await under_way
                under_way = asyncio.ensure_future(call.run(upload.append, bytes(piece)))
                piece.clear()
                limit.reschedule(loop.time() + _SILENCE_SECONDS)
    except TimeoutError:
        raise ConnectionError("the client sends less than 1 MiB in minutes") from None
    if under_way is not None:
        await under_way
    if piece:
        await call.run(upload.append, bytes(piece))


def _check_range(call: Call, upload: Upload) -> None:
    """Refuse a chunk that does not follow on what is there."""
    header = call.request.headers.get("Content-Range")
    if header is None:
        return
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise RefusedError(refusals.BLOB_UPLOAD_INVALID, message="invalid Content-Range")
    start, end = int(match[1]), int(match[2])
    if start != upload.size:
        raise RefusedError(refusals.RANGE_INVALID, headers=_place(call, upload))
    length = call.request.content_length
    if length is not None and length != end - start + 1:
        raise RefusedError(refusals.SIZE_INVALID)


def _place(call: Call, upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{call.repository}/blobs/uploads/{upload.id}",
        "Docker-Upload-UUID": upload.id,
        "Range": f"0-{max(0, upload.size - 1)}",
    }


def _accepted(call: Call, upload: Upload, status: int = HTTPStatus.ACCEPTED) -> Answer:
    return empty(status, _place(call, upload))


def _made(call: Call, digest: str) -> Answer:
    headers = {
        "Location": f"/v2/{call.repository}/blobs/{digest}",
        "Docker-Content-Digest": digest,
    }
    return empty(HTTPStatus.CREATED, headers)

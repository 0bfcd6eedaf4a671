"""Handlers of the files of containers, and of committing them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from knarr.api.archives import Committed
from knarr.api.containers import ContainerConfig
from knarr.api.message import encode
from knarr.engine.services import CommitOptions
from knarr.errors import InvalidArgumentError

from . import responses
from .containers import ref

if TYPE_CHECKING:
    from aiohttp import web

    from knarr.api.archives import PathStat

    from .call import Call
    from .routing import Router

_STAT = "X-Docker-Container-Path-Stat"
_TAR = "application/x-tar"


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("HEAD", "/containers/{}/archive", stat)
    router.add("GET", "/containers/{}/archive", read)
    router.add("PUT", "/containers/{}/archive", write)
    router.add("GET", "/containers/{}/changes", changes)
    router.add("GET", "/containers/{}/export", export)
    router.add("POST", "/commit", commit)


async def stat(call: Call) -> web.Response:
    """``HEAD /containers/{id}/archive``: what is at a path, in a header."""
    found = await call.engine.archives.stat(ref(call), _path(call))
    response = responses.empty(200)
    response.headers.update(_header(found))
    return response


async def read(call: Call) -> web.StreamResponse:
    """``GET /containers/{id}/archive``: what is at a path as a tar."""
    found, chunks = await call.engine.archives.read(ref(call), _path(call))
    return await responses.stream(call, _TAR, chunks, extra=_header(found))


async def write(call: Call) -> web.Response:
    """``PUT /containers/{id}/archive``: a tar into a directory."""
    await call.engine.archives.write(
        ref(call),
        _path(call),
        call.stream(),
        keep_kinds=call.flag("noOverwriteDirNonDir"),
        own=call.flag("copyUIDGID"),
    )
    return responses.empty(200)


async def changes(call: Call) -> web.Response:
    """``GET /containers/{id}/changes``."""
    return responses.json(await call.engine.archives.changes(ref(call)))


async def export(call: Call) -> web.StreamResponse:
    """``GET /containers/{id}/export``: the root filesystem as a tar."""
    chunks = await call.engine.archives.export(ref(call))
    return await responses.stream(call, "application/octet-stream", chunks)


async def commit(call: Call) -> web.Response:
    """``POST /commit``; the body may be a configuration for the image."""
    given = await call.optional_body(ContainerConfig)
    options = CommitOptions(
        repo=call.text("repo"),
        tag=call.text("tag"),
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", default=True) or not call.text("pause"),
        changes=call.request.query.getall("changes", []),
    )
    made = await call.engine.archives.commit(call.text("container"), options, given)
    return responses.json(Committed(id=made), 201)


def _path(call: Call) -> str:
    """The path in the container; bytes that are no UTF-8 come as ``os.fsdecode`` has them."""
    query = parse_qs(call.request.rel_url.raw_query_string, errors="surrogateescape")
    path = query.get("path", [""])[0]
    if not path:
        raise InvalidArgumentError("bad parameter: path cannot be empty")
    if "\0" in path:
        raise InvalidArgumentError("bad parameter: path contains a NUL byte")
    return path


def _header(found: PathStat) -> dict[str, str]:
    return {_STAT: base64.b64encode(encode(found)).decode()}

"""Handlers of the engine itself: ping, version, info, events, disk usage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from knarr.api import timestamps
from knarr.api.message import encode
from knarr.errors import InvalidArgumentError

from . import responses, versions

if TYPE_CHECKING:
    from .call import Call
    from .routing import Router

_PING = responses.headers("text/plain; charset=utf-8")
_PING["Builder-Version"] = "1"
_PING["Cache-Control"] = "no-cache, no-store, must-revalidate"
_PING["Pragma"] = "no-cache"
_PING["Swarm"] = "inactive"
_PING_HEAD = _PING.copy()
_PING_HEAD["Content-Length"] = "0"


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/_ping", ping)
    router.add("HEAD", "/_ping", ping)
    router.add("GET", "/version", version)
    router.add("GET", "/info", info)
    router.add("GET", "/events", events, streams=True)
    router.add("GET", "/system/df", disk_usage)


async def ping(call: Call) -> web.Response:
    """``/_ping``: the engine answers; the headers say what it speaks."""
    if call.request.method == "HEAD":
        return web.Response(headers=_PING_HEAD)
    return web.Response(body=b"OK", headers=_PING)


def canned_ping() -> bytes:
    """The answer to ``HEAD /_ping``, which every docker command sends first."""
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in _PING_HEAD.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def version(call: Call) -> web.Response:
    """``GET /version``."""
    return responses.json(await call.engine.system.version())


async def info(call: Call) -> web.Response:
    """``GET /info``."""
    return responses.json(await call.engine.system.info())


async def disk_usage(call: Call) -> web.Response:
    """``GET /system/df``."""
    types = call.request.query.getall("type", [])
    used = await call.engine.system.disk_usage(types)
    return responses.json(versions.disk_usage(used, call.version))


async def events(call: Call) -> web.StreamResponse:
    """``GET /events``: one JSON object a line, each as soon as it happens."""
    since, until = _moment(call, "since"), _moment(call, "until")
    if since is not None and until is not None and until < since:
        raise InvalidArgumentError(
            f"`since` time ({call.text('since')}) cannot be after `until` time "
            f"({call.text('until')})"
        )
    happening = await call.engine.system.events(since=since, until=until, filters=call.filters())
    async with responses.closing(happening):
        response = await responses.begin(call, "application/json")
        async for event in happening:
            await response.write(encode(event) + b"\n")
    await response.write_eof()
    return response


def _moment(call: Call, key: str) -> int | None:
    text = call.text(key)
    return timestamps.parse(text, now=time.time_ns()) if text else None

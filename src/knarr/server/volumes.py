"""Handlers of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.volumes import VolumeCreateRequest

from . import responses

if TYPE_CHECKING:
    from aiohttp import web

    from .call import Call
    from .routing import Router


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/volumes", list_)
    router.add("POST", "/volumes/create", create)
    router.add("POST", "/volumes/prune", prune)
    router.add("GET", "/volumes/{}", inspect)
    router.add("DELETE", "/volumes/{}", remove)


async def list_(call: Call) -> web.Response:
    """``GET /volumes``."""
    return responses.json(await call.engine.volumes.list(call.filters()))


async def create(call: Call) -> web.Response:
    """``POST /volumes/create``."""
    request = await call.optional_body(VolumeCreateRequest) or VolumeCreateRequest()
    return responses.json(await call.engine.volumes.create(request), 201)


async def inspect(call: Call) -> web.Response:
    """``GET /volumes/{name}``."""
    return responses.json(await call.engine.volumes.inspect(call.name))


async def remove(call: Call) -> web.Response:
    """``DELETE /volumes/{name}``."""
    await call.engine.volumes.remove(call.name, force=call.flag("force"))
    return responses.empty()


async def prune(call: Call) -> web.Response:
    """``POST /volumes/prune``; before 1.42 it took the volumes that have a name, too."""
    filters = call.filters()
    if call.version < (1, 42):
        filters.setdefault("all", ["true"])
    return responses.json(await call.engine.volumes.prune(filters))

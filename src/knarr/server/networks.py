"""Handlers of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import responses

if TYPE_CHECKING:
    from aiohttp import web

    from .call import Call
    from .routing import Router


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/networks", list_)
    router.add("POST", "/networks/prune", prune)
    router.add("GET", "/networks/{}", inspect)


async def list_(call: Call) -> web.Response:
    """``GET /networks``."""
    return responses.json(await call.engine.networks.list(call.filters()))


async def inspect(call: Call) -> web.Response:
    """``GET /networks/{id}``."""
    return responses.json(await call.engine.networks.inspect(call.name))


async def prune(call: Call) -> web.Response:
    """``POST /networks/prune``."""
    return responses.json(await call.engine.networks.prune(call.filters()))

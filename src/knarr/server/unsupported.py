"""Endpoints of Docker that knarr does not have, each with an answer that says so.

Without these a client would show "page not found", which tells a user nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.errors import UnavailableError, UnimplementedError

from . import responses

if TYPE_CHECKING:
    from aiohttp import web

    from .call import Call
    from .routing import Handler, Router

_MISSING = {
    "building images": [("POST", "/build"), ("POST", "/build/cancel")],
    "BuildKit": [("POST", "/session"), ("POST", "/grpc")],
    "managing networks": [
        ("POST", "/networks/create"),
        ("POST", "/networks/{}/connect"),
        ("POST", "/networks/{}/disconnect"),
        ("DELETE", "/networks/{}"),
    ],
    "plugins": [("GET", "/plugins/privileges"), ("POST", "/plugins/pull")],
}

_SWARM = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs")


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    for what, routes in _MISSING.items():
        handler = _refusing(what)
        for method, path in routes:
            router.add(method, path, handler)
    for path in _SWARM:
        router.add("GET", path, swarm)
        router.add("GET", path + "/{}", swarm)
        router.add("POST", path + "/{}", swarm)
    router.add("GET", "/plugins", plugins)
    router.add("POST", "/build/prune", build_prune)


async def plugins(call: Call) -> web.Response:
    """``GET /plugins``: there are none."""
    del call
    return responses.json([])


async def build_prune(call: Call) -> web.Response:
    """``POST /build/prune``: there is no cache of builds; ``docker system prune`` asks."""
    del call
    return responses.json({"CachesDeleted": None, "SpaceReclaimed": 0})


async def swarm(call: Call) -> web.Response:
    """Everything of swarm mode, in Docker's words for an engine that is not in it."""
    del call
    raise UnavailableError("This node is not a swarm manager. knarr has no swarm mode.")


def _refusing(what: str) -> Handler:
    async def refuse(call: Call) -> web.Response:
        del call
        raise UnimplementedError(f"{what} is not implemented")

    return refuse

"""The whole API of an engine as one HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from . import (
    archives,
    containers,
    execs,
    images,
    networks,
    registries,
    responses,
    system,
    unsupported,
    versions,
    volumes,
    websockets,
)
from .call import Call
from .connection import Connection, Server
from .routing import Router

if TYPE_CHECKING:
    from aiohttp import web

    from knarr.engine.engine import Engine


def router() -> Router:
    """All routes of the API."""
    made = Router()
    for noun in (
        archives,
        containers,
        execs,
        images,
        networks,
        registries,
        system,
        unsupported,
        volumes,
        websockets,
    ):
        noun.add_routes(made)
    return made


def make_server(engine: Engine) -> Server:
    """A factory of protocols for the sockets on which ``engine`` is to answer.

    To be called in a running event loop.
    """
    routes = router()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        try:
            version, path = versions.split(request.path)
            route, name = routes.find(request.method, path)
            if route.streams:
                connection.end_with_client()
            return await route.handler(Call(request, engine, name, version))
        except ConnectionError:
            raise
        except Exception as failure:  # noqa: BLE001 - no traceback may reach a client
            return responses.error(failure)
        finally:
            connection.release()

    return Server(handle, {b"HEAD /_ping HTTP/1.1": system.canned_ping()})

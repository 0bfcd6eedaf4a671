"""Handlers of further processes in a running container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.exec import ExecCreateRequest, ExecCreateResponse, ExecStartRequest
from knarr.errors import InvalidArgumentError, KnarrError

from . import hijack, responses
from .containers import console_size, ref

if TYPE_CHECKING:
    from aiohttp import web

    from .call import Call
    from .routing import Router


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("POST", "/containers/{}/exec", create)
    router.add("POST", "/exec/{}/start", start, streams=True)
    router.add("POST", "/exec/{}/resize", resize)
    router.add("GET", "/exec/{}/json", inspect)


async def create(call: Call) -> web.Response:
    """``POST /containers/{id}/exec``."""
    request = await call.body(ExecCreateRequest)
    if not request.cmd:
        raise InvalidArgumentError("No exec command specified")
    exec_id = await call.engine.execs.create(ref(call), request)
    return responses.json(ExecCreateResponse(id=exec_id), 201)


async def start(call: Call) -> web.StreamResponse:
    """``POST /exec/{id}/start``: the connection becomes the streams unless ``Detach``."""
    request = await call.optional_body(ExecStartRequest) or ExecStartRequest()
    state = await call.engine.execs.inspect(call.name)
    try:
        attachment = await call.engine.execs.start(
            call.name, detach=request.detach, console_size=request.console_size
        )
    except KnarrError as failure:
        if request.detach:
            raise
        return await hijack.refuse_in_stream(call, str(failure), tty=state.process_config.tty)
    if attachment is None:
        return responses.empty(200)
    return await hijack.hijack(call, attachment, takes_input=state.open_stdin)


async def inspect(call: Call) -> web.Response:
    """``GET /exec/{id}/json``."""
    return responses.json(await call.engine.execs.inspect(call.name))


async def resize(call: Call) -> web.Response:
    """``POST /exec/{id}/resize``."""
    height, width = console_size(call)
    await call.engine.execs.resize(call.name, height=height, width=width)
    return responses.empty(200)

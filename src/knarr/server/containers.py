"""Handlers of containers.

``wait`` sends its head as soon as the wait is registered: ``docker run`` starts the container only
when it has seen it, so that an exit that comes at once is not missed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from knarr.api import streams, timestamps
from knarr.api.containers import ContainerCreateRequest, WaitError, WaitResponse
from knarr.api.host_config import ContainerUpdateRequest
from knarr.api.message import encode
from knarr.engine.services import AttachOptions, LogOptions
from knarr.errors import InvalidArgumentError, KnarrError

from . import hijack, responses, versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from .call import Call
    from .routing import Router

_DIGITS = 18
_CONDITIONS = frozenset(("", "not-running", "next-exit", "removed"))


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/containers/json", list_)
    router.add("POST", "/containers/create", create)
    router.add("POST", "/containers/prune", prune)
    router.add("GET", "/containers/{}/json", inspect)
    router.add("POST", "/containers/{}/start", start)
    router.add("POST", "/containers/{}/stop", stop)
    router.add("POST", "/containers/{}/restart", restart)
    router.add("POST", "/containers/{}/kill", kill)
    router.add("POST", "/containers/{}/pause", pause)
    router.add("POST", "/containers/{}/unpause", unpause)
    router.add("POST", "/containers/{}/wait", wait, streams=True)
    router.add("POST", "/containers/{}/rename", rename)
    router.add("POST", "/containers/{}/resize", resize)
    router.add("POST", "/containers/{}/update", update)
    router.add("POST", "/containers/{}/attach", attach, streams=True)
    router.add("GET", "/containers/{}/logs", logs, streams=True)
    router.add("GET", "/containers/{}/top", top)
    router.add("GET", "/containers/{}/stats", stats, streams=True)
    router.add("DELETE", "/containers/{}", remove)
    router.add("POST", "/knarr/explain", explain)


def ref(call: Call) -> str:
    """The container that the path names; names may be written with their slash."""
    return call.name.lstrip("/")


async def list_(call: Call) -> web.Response:
    """``GET /containers/json``."""
    found = await call.engine.containers.list(
        every=call.flag("all"),
        limit=call.number("limit") or 0,
        size=call.flag("size"),
        filters=call.filters(),
    )
    return responses.json(found)


async def create(call: Call) -> web.Response:
    """``POST /containers/create``."""
    request = versions.adjusted_create(await call.body(ContainerCreateRequest), call.version)
    made = await call.engine.containers.create(
        call.text("name"),
        request,
        call.text("platform") or None,
        shallow_read_only=versions.leaves_submounts_writable(call.version),
    )
    return responses.json(made, 201)


async def inspect(call: Call) -> web.Response:
    """``GET /containers/{id}/json``."""
    return responses.json(await call.engine.containers.inspect(ref(call), size=call.flag("size")))


async def start(call: Call) -> web.Response:
    """``POST /containers/{id}/start``; 304 when it runs."""
    await call.engine.containers.start(ref(call), detach_keys=call.text("detachKeys") or None)
    return responses.empty()


async def stop(call: Call) -> web.Response:
    """``POST /containers/{id}/stop``; 304 when it does not run."""
    await call.engine.containers.stop(ref(call), grace=call.number("t"), signal=call.text("signal"))
    return responses.empty()


async def restart(call: Call) -> web.Response:
    """``POST /containers/{id}/restart``."""
    await call.engine.containers.restart(
        ref(call), grace=call.number("t"), signal=call.text("signal")
    )
    return responses.empty()


async def kill(call: Call) -> web.Response:
    """``POST /containers/{id}/kill``."""
    await call.engine.containers.kill(ref(call), signal=call.text("signal") or "KILL")
    return responses.empty()


async def pause(call: Call) -> web.Response:
    """``POST /containers/{id}/pause``."""
    await call.engine.containers.pause(ref(call))
    return responses.empty()


async def unpause(call: Call) -> web.Response:
    """``POST /containers/{id}/unpause``."""
    await call.engine.containers.unpause(ref(call))
    return responses.empty()


async def rename(call: Call) -> web.Response:
    """``POST /containers/{id}/rename``."""
    await call.engine.containers.rename(ref(call), call.text("name"))
    return responses.empty()


async def resize(call: Call) -> web.Response:
    """``POST /containers/{id}/resize``."""
    height, width = console_size(call)
    await call.engine.containers.resize(ref(call), height=height, width=width)
    return responses.empty(200)


def console_size(call: Call) -> tuple[int, int]:
    """Height and width of the query. Raises ``InvalidArgumentError``."""
    size = []
    for key, word in (("h", "height"), ("w", "width")):
        value = call.number(key)
        if value is None or not 0 <= value < 1 << 16:
            raise InvalidArgumentError(f'invalid resize {word} "{call.text(key)}"')
        size.append(value)
    return size[0], size[1]


async def update(call: Call) -> web.Response:
    """``POST /containers/{id}/update``."""
    request = await call.body(ContainerUpdateRequest)
    return responses.json(await call.engine.containers.update(ref(call), request))


async def top(call: Call) -> web.Response:
    """``GET /containers/{id}/top``."""
    return responses.json(await call.engine.containers.top(ref(call), call.text("ps_args")))


async def stats(call: Call) -> web.StreamResponse:
    """``GET /containers/{id}/stats``: a JSON object a second, or one."""
    streams_on = call.flag("stream", default=True)
    one_shot = call.version >= (1, 41) and call.flag("one-shot")
    samples = await call.engine.containers.stats(ref(call), stream=streams_on, one_shot=one_shot)
    async with responses.closing(samples):
        if not streams_on:
            async for sample in samples:
                return responses.json(sample)
        response = await responses.begin(call, "application/json")
        async for sample in samples:
            await response.write(encode(sample) + b"\n")
    await response.write_eof()
    return response


async def remove(call: Call) -> web.Response:
    """``DELETE /containers/{id}``."""
    await call.engine.containers.remove(
        ref(call), force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link")
    )
    return responses.empty()


async def prune(call: Call) -> web.Response:
    """``POST /containers/prune``."""
    return responses.json(await call.engine.containers.prune(call.filters()))


async def explain(call: Call) -> web.Response:
    """``POST /knarr/explain``: the plan of a start, body as for create."""
    request = versions.adjusted_create(await call.body(ContainerCreateRequest), call.version)
    return responses.json({"Plan": list(await call.engine.containers.explain(request))})


async def wait(call: Call) -> web.StreamResponse:
    """``POST /containers/{id}/wait``."""
    condition = call.text("condition")
    if condition not in _CONDITIONS:
        raise InvalidArgumentError(f'invalid condition: "{condition}"')
    waiting = await call.engine.containers.wait(ref(call), condition=condition)
    response = await responses.begin(call, "application/json")
    try:
        result = await waiting.result()
    except KnarrError as failure:
        result = WaitResponse(status_code=-1, error=WaitError(message=str(failure)))
    await response.write(encode(result) + b"\n")
    await response.write_eof()
    return response


async def attach(call: Call) -> web.StreamResponse:
    """``POST /containers/{id}/attach``: the connection becomes the streams."""
    options = attach_options(call)
    attachment = await call.engine.containers.attach(ref(call), options)
    return await hijack.hijack(call, attachment, takes_input=options.stdin)


def attach_options(call: Call) -> AttachOptions:
    """What the query of an attach request asks for."""
    return AttachOptions(
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        detach_keys=call.text("detachKeys") or None,
    )


async def logs(call: Call) -> web.StreamResponse:
    """``GET /containers/{id}/logs``."""
    options = _log_options(call)
    if not (options.stdout or options.stderr):
        raise InvalidArgumentError("Bad parameters: you must choose at least one stream")
    log = await call.engine.containers.logs(ref(call), options)
    chunks = log.chunks if log.tty else _with_late_error(log.chunks)
    return await responses.stream(
        call, hijack.stream_type(call, tty=log.tty), chunks, wait_for_first=not options.follow
    )


async def _with_late_error(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, and an error that comes late as a frame that makes the client report it."""
    async with responses.closing(chunks):
        try:
            async for chunk in chunks:
                yield chunk
        except KnarrError as failure:
            text = f"Error grabbing logs: {failure}\n"
            yield streams.frame(streams.SYSTEM_ERROR, text.encode())


def _log_options(call: Call) -> LogOptions:
    now = time.time_ns()
    since, until, tail = call.text("since"), call.text("until"), call.text("tail")
    return LogOptions(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        since=timestamps.parse(since, now=now) if since else 0,
        until=timestamps.parse(until, now=now) if until else 0,
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
        # "all", and whatever else is not a number, is all: as in Docker.
        tail=int(tail) if tail.isascii() and tail.isdigit() and len(tail) < _DIGITS else None,
    )

"""Handlers of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError, UnimplementedError

from . import credentials, responses, versions

if TYPE_CHECKING:
    from aiohttp import web

    from .call import Call
    from .routing import Router


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("GET", "/images/json", list_)
    router.add("GET", "/images/get", save)
    router.add("POST", "/images/load", load, streams=True)
    router.add("POST", "/images/create", create, streams=True)
    router.add("POST", "/images/prune", prune)
    router.add("POST", "/images/{}/push", push, streams=True)
    router.add("GET", "/images/{}/json", inspect)
    router.add("GET", "/images/{}/history", history)
    router.add("GET", "/images/{}/get", save)
    router.add("POST", "/images/{}/tag", tag)
    router.add("DELETE", "/images/{}", remove)


async def list_(call: Call) -> web.Response:
    """``GET /images/json``."""
    found = await call.engine.images.list(
        every=call.flag("all"), filters=call.filters(), digests=call.flag("digests")
    )
    return responses.json(versions.image_summaries(found, call.version))


async def inspect(call: Call) -> web.Response:
    """``GET /images/{name}/json``."""
    found = await call.engine.images.inspect(call.name)
    return responses.json(versions.image_inspect(found, call.version))


async def history(call: Call) -> web.Response:
    """``GET /images/{name}/history``."""
    return responses.json(await call.engine.images.history(call.name))


async def tag(call: Call) -> web.Response:
    """``POST /images/{name}/tag``."""
    await call.engine.images.tag(call.name, repo=call.text("repo"), tag=call.text("tag"))
    return responses.empty(201)


async def remove(call: Call) -> web.Response:
    """``DELETE /images/{name}``."""
    removed = await call.engine.images.remove(
        call.name, force=call.flag("force"), prune=not call.flag("noprune")
    )
    return responses.json(removed)


async def prune(call: Call) -> web.Response:
    """``POST /images/prune``."""
    return responses.json(await call.engine.images.prune(call.filters()))


async def load(call: Call) -> web.StreamResponse:
    """``POST /images/load``: an archive in the body."""
    messages = await call.engine.images.load(
        call.stream(), quiet=call.flag("quiet", default=True), platform=_platform(call)
    )
    return await responses.progress(call, messages)


async def save(call: Call) -> web.StreamResponse:
    """``GET /images/get?names=...`` and ``GET /images/{name}/get``: an archive."""
    names = [call.name] if call.name else call.request.query.getall("names", [])
    if not names:
        raise InvalidArgumentError("no image names were given")
    archive = await call.engine.images.save(names, platform=_platform(call))
    return await responses.stream(call, "application/x-tar", archive)


async def create(call: Call) -> web.StreamResponse:
    """``POST /images/create``: import with ``fromSrc``, pull with ``fromImage``."""
    if call.text("fromImage"):
        return await _pull(call)
    if call.text("fromSrc") != "-":
        raise UnimplementedError("importing from a URL is not implemented", hint="send the archive")
    repo, name_tag = call.text("repo"), call.text("tag")
    messages = await call.engine.images.import_(
        call.stream(),
        reference=f"{repo}:{name_tag}" if repo and name_tag else repo,
        changes=call.request.query.getall("changes", []),
        message=call.text("message"),
        platform=call.text("platform") or None,
    )
    return await responses.progress(call, messages)


async def _pull(call: Call) -> web.StreamResponse:
    messages = await call.engine.images.pull(
        call.text("fromImage"),
        tag=call.text("tag"),
        platform=_platform(call),
        credentials=credentials.of(call),
    )
    return await responses.progress(call, messages)


async def push(call: Call) -> web.StreamResponse:
    """``POST /images/{name}/push``."""
    messages = await call.engine.images.push(
        call.name,
        tag=call.text("tag"),
        platform=_platform(call),
        credentials=credentials.of(call),
    )
    return await responses.progress(call, messages)


class _Platform(msgspec.Struct):
    """The JSON form of a platform, as newer clients send it."""

    os: str = ""
    architecture: str = ""
    variant: str = ""


def _platform(call: Call) -> str | None:
    """The platform as ``os/architecture/variant``, whichever form was sent."""
    text = call.text("platform")
    if not text.startswith("{"):
        return text or None
    try:
        given = msgspec.json.decode(text, type=_Platform)
    except msgspec.DecodeError as error:
        raise InvalidArgumentError("failed to parse platform", detail=str(error)) from error
    return "/".join(part for part in (given.os, given.architecture, given.variant) if part) or None

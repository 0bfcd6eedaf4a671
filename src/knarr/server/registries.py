"""Handlers of what is asked of registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from knarr.api.registry import AuthConfig

from . import credentials, responses

if TYPE_CHECKING:
    from .call import Call
    from .routing import Router


def add_routes(router: Router) -> None:
    """Add the routes of this module."""
    router.add("POST", "/auth", login)
    router.add("GET", "/images/search", search)
    router.add("GET", "/distribution/{}/json", distribution)
    router.add("GET", "/distribution/{}/document", document)


async def login(call: Call) -> web.Response:
    """``POST /auth``."""
    config = await call.optional_body(AuthConfig)
    return responses.json(await call.engine.registries.login(config or AuthConfig()))


async def distribution(call: Call) -> web.Response:
    """``GET /distribution/{name}/json``."""
    found = await call.engine.registries.distribution(call.name, credentials.of(call))
    return responses.json(found)


async def document(call: Call) -> web.Response:
    """``GET /distribution/{name}/document``, of knarr alone: the manifest as it is, to the byte."""
    media_type, digest, raw = await call.engine.registries.document(call.name, credentials.of(call))
    is_type = media_type.isascii() and media_type.isprintable()  # a registry has written it
    made = responses.headers(media_type if is_type else "application/octet-stream")
    made["Docker-Content-Digest"] = digest
    return web.Response(body=raw, headers=made)


async def search(call: Call) -> web.Response:
    """``GET /images/search``."""
    found = await call.engine.registries.search(
        call.text("term"),
        limit=call.number("limit") or 0,
        filters=call.filters(),
        credentials=credentials.of(call),
    )
    return responses.json(found)

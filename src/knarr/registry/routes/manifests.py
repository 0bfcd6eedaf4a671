"""Manifests, tags and referrers (end-3, end-7, end-8, end-9, end-12 of the specification)."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from aiohttp import web

from knarr.errors import KnarrError
from knarr.oci.descriptor import OCI_INDEX
from knarr.registry import access, names, refusals
from knarr.registry.call import document, empty
from knarr.registry.manifests import LARGEST
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from knarr.registry.call import Answer, Call
    from knarr.registry.metadata import Referrer

_MOST_TAGS = 100


async def handle(call: Call) -> Answer:
    """``/v2/<name>/manifests/<reference>``."""
    if call.method in {"GET", "HEAD"}:
        return await _get(call)
    if call.method == "PUT":
        return await _put(call)
    call.check(access.DELETE)
    await call.run(call.rules.delete_manifest, call.repository, call.last)
    return empty(HTTPStatus.ACCEPTED)


async def _get(call: Call) -> Answer:
    call.check(access.PULL)
    if call.proxy is not None:
        row = await call.proxy.manifest(call.repository, call.last)
    else:
        row = await call.read(call.rules.manifest, call.repository, call.last)
    tag = f'"{row.digest}"'
    headers = {
        "Docker-Content-Digest": row.digest,
        "ETag": tag,
        "Content-Type": row.media_type,
    }
    if tag in call.request.headers.get("If-None-Match", ""):
        return empty(HTTPStatus.NOT_MODIFIED, headers)
    if call.method == "HEAD":
        return empty(HTTPStatus.OK, {**headers, "Content-Length": str(len(row.raw))})
    return web.Response(body=row.raw, headers=headers)


async def _put(call: Call) -> Answer:
    call.check(access.PUSH)
    raw = await _body(call)
    kind = call.request.headers.get("Content-Type", "").partition(";")[0].strip()
    tags = call.request.query.getall("tag", [])[: _MOST_TAGS + 1]
    if len(tags) > _MOST_TAGS:
        raise RefusedError(refusals.TAG_INVALID, message=f"more than {_MOST_TAGS} tags")
    done = await call.run(call.rules.put_manifest, call.repository, call.last, raw, kind, tags)
    headers = {
        "Location": f"/v2/{call.repository}/manifests/{done.digest}",
        "Docker-Content-Digest": done.digest,
    }
    if done.subject is not None:
        headers["OCI-Subject"] = done.subject
    if tags:
        headers["OCI-Tag"] = ", ".join(tags)
    return empty(HTTPStatus.CREATED, headers)


async def _body(call: Call) -> bytes:
    """All of the body; no more than a manifest may have is read."""
    parts, size = [], 0
    async for data in call.request.content.iter_any():
        size += len(data)
        if size > LARGEST:
            raise RefusedError(refusals.TOO_LARGE, {"limit": LARGEST})
        parts.append(data)
    return b"".join(parts)


async def tags(call: Call) -> Answer:
    """``/v2/<name>/tags/list``."""
    call.check(access.PULL)
    last, limit = call.page()
    if call.proxy is not None:
        found = await call.proxy.tags(call.repository, last, limit + 1)
    else:
        found = await call.read(call.rules.tags, call.repository, last, limit + 1)
    return _listing(
        {"name": call.repository, "tags": found[:limit]},
        f"/v2/{call.repository}/tags/list",
        found,
        limit,
    )


async def catalog(call: Call) -> Answer:
    """``/v2/_catalog``: of the repositories those that the caller may read."""
    call.check(access.CATALOG, "")
    last, limit = call.page()
    found: list[str] = []
    while len(found) <= limit:
        names_ = await call.read(call.rules.metadata.repositories, last, limit + 1)
        found += [name for name in names_ if call.caller.may(access.PULL, name)]
        if len(names_) <= limit:
            break
        last = names_[-1]
    return _listing({"repositories": found[:limit]}, "/v2/_catalog", found, limit)


def _listing(content: dict[str, object], path: str, found: list[str], limit: int) -> Answer:
    headers = {}
    if len(found) > limit > 0:
        next_page = f"{path}?n={limit}&last={quote(found[limit - 1], safe='')}"
        headers["Link"] = f'<{next_page}>; rel="next"'
    return document(msgspec.json.encode(content), **headers)


async def referrers(call: Call) -> Answer:
    """``/v2/<name>/referrers/<digest>``."""
    call.check(access.PULL)
    subject = names.digest(call.last)
    wanted = call.parameter("artifactType")
    if call.proxy is not None:
        with contextlib.suppress(KnarrError):  # the upstream is away: what is here is told
            raw = await call.proxy.referrers(call.repository, subject, wanted)
            return web.Response(body=raw, headers=_referrers_headers(wanted))
    found = await call.read(call.rules.referrers, call.repository, subject, wanted)
    content = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_descriptor(each) for each in found],
    }
    return web.Response(body=msgspec.json.encode(content), headers=_referrers_headers(wanted))


def _referrers_headers(artifact_type: str) -> dict[str, str]:
    applied = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    return {"Content-Type": OCI_INDEX, **applied}


def _descriptor(of: Referrer) -> dict[str, object]:
    made: dict[str, object] = {
        "mediaType": of.media_type,
        "digest": of.digest,
        "size": of.size,
    }
    if of.artifact_type:
        made["artifactType"] = of.artifact_type
    annotations = msgspec.json.decode(of.annotations)
    if annotations:
        made["annotations"] = annotations
    return made

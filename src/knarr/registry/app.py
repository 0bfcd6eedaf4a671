"""The registry over HTTP: from a request to the route that answers it.

Names of repositories have slashes, so a path is taken apart from its end. A failure is told as the
specification wants it, and never more of it than the client may know.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from knarr.errors import KnarrError, ResourceExhaustedError
from knarr.registry import names, refusals
from knarr.registry.access import Asking, OpenAccess
from knarr.registry.access.controlled import TOKEN_PATH
from knarr.registry.call import Call, document
from knarr.registry.connection import QuickManifests, Server
from knarr.registry.refusals import RefusedError
from knarr.registry.routes import administration, blobs, manifests, uploads
from knarr.registry.upkeep.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from knarr.registry.access import Access, Caller
    from knarr.registry.access.audit import Audit
    from knarr.registry.access.limits import RateLimit
    from knarr.registry.call import Answer
    from knarr.registry.proxy.proxy import Proxy
    from knarr.registry.rules import Rules

    Route = Callable[[Call], Awaitable[Answer]]

_log = logging.getLogger(__name__)
_WORKERS = 16
GRACE, UPLOAD_AGE = 3600.0, 7 * 86400.0
"""Seconds, where the configuration does not say otherwise."""
_LONGEST_HEADER = 16 << 10
_LARGEST_FORM = 64 << 10
_MOST_FIELDS = 100
_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")

_OF_CACHES = {"GET", "HEAD", "DELETE"}
_A_CACHE = "the repository is a cache of another registry: push there"

_METHODS: dict[Route, set[str]] = {
    manifests.handle: {"GET", "HEAD", "PUT", "DELETE"},
    manifests.tags: {"GET", "HEAD"},
    manifests.catalog: {"GET", "HEAD"},
    manifests.referrers: {"GET", "HEAD"},
    blobs.handle: {"GET", "HEAD", "DELETE"},
    uploads.begin: {"POST"},
    uploads.go_on: {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
}


class App:
    """Answers requests; ``server`` is given to whatever listens.

    ``public`` is scheme and host by which clients reach it, where it cannot be told from a request
    (behind a proxy that ends TLS).
    """

    def __init__(
        self,
        rules: Rules,
        access: Access | None = None,
        *,
        limit: RateLimit | None = None,
        audit: Audit | None = None,
        public: str = "",
        collector: Collector | None = None,
    ) -> None:
        self.proxies: list[Proxy] = []
        self.rules = rules
        self.collector = collector or Collector(rules, grace=GRACE, upload_age=UPLOAD_AGE)
        self.executor = ThreadPoolExecutor(_WORKERS, "registry")
        self.access = access or OpenAccess()
        self._limit = limit
        self._audit = audit
        self._public = public.rstrip("/")

    def server(self) -> web.Server:
        """A protocol factory for ``loop.create_server``."""
        is_plain = isinstance(self.access, OpenAccess) and not self.proxies
        is_plain = is_plain and self._limit is None and self._audit is None
        quick = QuickManifests(self.rules, _VERSION) if self.rules.metadata.quick else None
        return Server(
            self._answer,
            quick if is_plain else None,
            access_log=None,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            auto_decompress=False,
        )

    def close(self) -> None:
        """Wait for the work under way, and close storage and database."""
        for proxy in self.proxies:
            proxy.close()
        self.executor.shutdown()
        if self._audit is not None:
            self._audit.close()
        self.rules.driver.close()
        self.rules.metadata.close()

    async def _answer(self, request: web.BaseRequest) -> Answer:
        user = ""
        try:
            asking = self._asking(request)
            if request.path == TOKEN_PATH:
                answer = await self._grant(request, asking)
            else:
                caller = await self._admit(asking)
                user = caller.name
                answer = await self._route(Call(request, self.rules, self.executor, caller))
        except RefusedError as error:
            answer = _refusal(error)
        except ResourceExhaustedError as error:
            answer = _refusal(RefusedError(refusals.FULL, message=error.message))
        except ConnectionError:
            # The client has gone, perhaps in the middle of a blob: nobody is there to be told.
            if request.transport is not None:
                request.transport.abort()
            answer = web.Response(status=HTTPStatus.BAD_REQUEST)
        except (KnarrError, OSError) as error:
            _log.error("%s %s: %s", request.method, request.path, error)
            answer = _refusal(RefusedError(refusals.UNAVAILABLE))
        if self._audit is not None:
            self._audit.note(
                user=user,
                peer=request.remote or "",
                method=request.method,
                path=request.path,
                status=answer.status,
            )
        if not answer.prepared:
            answer.headers[_VERSION[0]] = _VERSION[1]
        return answer

    def _asking(self, request: web.BaseRequest) -> Asking:
        base = self._public or f"{request.scheme}://{request.host}"
        return Asking(request.headers, request.remote or "", base)

    async def _admit(self, asking: Asking) -> Caller:
        try:
            caller = await self.access.admit(asking)
        except RefusedError:
            self._count(asking.peer)  # guessing is counted
            raise
        self._count(caller.name or asking.peer)
        return caller

    async def _grant(self, request: web.BaseRequest, asking: Asking) -> Answer:
        """The token service: GET with Basic credentials, or an OAuth 2 form by POST."""
        self._count(asking.peer)
        form = {key: request.query.getall(key) for key in request.query}
        if request.method == "POST":
            raw = await request.content.read(_LARGEST_FORM + 1)
            if len(raw) > _LARGEST_FORM:
                raise RefusedError(refusals.TOO_LARGE)
            form |= parse_qs(raw.decode(errors="replace"), max_num_fields=_MOST_FIELDS)
        return document(msgspec.json.encode(await self.access.grant(asking, form)))

    def _count(self, who: str) -> None:
        if self._limit is not None:
            self._limit.take(who)

    async def _route(self, call: Call) -> Answer:
        path = call.request.path
        if path in {"/v2/", "/v2"}:
            call.check("", "")
            return document(b"{}")
        if path.startswith(administration.PREFIX):
            verb = path.removeprefix(administration.PREFIX)
            return await administration.handle(call, verb, self.collector.run)
        route = _find(call, path)
        if call.method not in _METHODS[route]:
            allowed = {"Allow": ", ".join(sorted(_METHODS[route]))}
            raise RefusedError(refusals.UNSUPPORTED, headers=allowed)
        for proxy in self.proxies:
            if proxy.has(call.repository):
                if call.method not in _OF_CACHES:
                    raise RefusedError(refusals.UNSUPPORTED, message=_A_CACHE)
                call.proxy = proxy
                break
        return await route(call)


def _find(call: Call, path: str) -> Route:
    """The route of a path; the repository and what is behind the noun are put into the call."""
    if path == "/v2/_catalog":
        return manifests.catalog
    head, _, call.last = path.removeprefix("/v2/").rpartition("/")
    name, _, noun = head.rpartition("/")
    route: Route
    if noun == "tags" and call.last == "list":
        route = manifests.tags
    elif noun == "manifests":
        route = manifests.handle
    elif noun == "referrers":
        route = manifests.referrers
    elif noun == "uploads" and name.endswith("/blobs"):
        name, route = name.removesuffix("/blobs"), uploads.go_on if call.last else uploads.begin
    elif noun == "blobs":
        # Both forms of the path are in use, with and without a slash at the end.
        route = uploads.begin if call.last == "uploads" else blobs.handle
    else:
        raise RefusedError(refusals.NO_PAGE)
    call.repository = names.repository(name)
    return route


def _refusal(error: RefusedError) -> web.Response:
    return web.Response(
        status=error.code.status,
        body=msgspec.json.encode(error.document()),
        content_type="application/json",
        headers=error.headers,
    )

"""One request on its way through the registry: what was asked, by whom, and how to get it done."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from knarr.registry import refusals
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from knarr.oci.digest import Digest
    from knarr.registry.access import Caller
    from knarr.registry.proxy.proxy import Proxy
    from knarr.registry.rules import Rules

    Answer = web.StreamResponse

T = TypeVar("T")

_touched: dict[tuple[str, Digest], float] = {}
_TOUCH_SECONDS = 10.0
_MOST_TOUCHED = 10_000

_MOST_RESULTS = 10_000
_USUAL_RESULTS = 100


class Call:
    """A request with its path taken apart: the repository, and what stands behind the noun."""

    __slots__ = ("caller", "executor", "last", "proxy", "repository", "request", "rules")

    def __init__(
        self, request: web.BaseRequest, rules: Rules, executor: Executor, caller: Caller
    ) -> None:
        self.request = request
        self.rules = rules
        self.executor = executor
        self.caller = caller
        self.repository = ""
        self.last = ""
        self.proxy: Proxy | None = None

    @property
    def method(self) -> str:
        """The verb of the request."""
        return self.request.method

    def check(self, action: str, repository: str | None = None) -> None:
        """Refuse what the caller may not do."""
        name = self.repository if repository is None else repository
        if not self.caller.may(action, name):
            raise self.caller.refuse(action, name)

    def parameter(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.request.query.get(name, default)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Do something that blocks, in a worker."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *args)

    async def read(self, work: Callable[..., T], *args: Any) -> T:
        """Ask the metadata: at once where that is quick, else in a worker."""
        if self.rules.metadata.quick:
            return work(*args)
        return await self.run(work, *args)

    async def touched(self, digest: Digest) -> None:
        """A push may be about to refer to this blob: it must not be collected meanwhile.

        Noted once in a while only; the grace period is much longer than that.
        """
        now, key = time.monotonic(), (self.repository, digest)
        if now - _touched.get(key, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
            return
        if len(_touched) >= _MOST_TOUCHED:
            _touched.clear()
        await self.run(self.rules.touch, self.repository, digest)
        _touched[key] = now

    def page(self) -> tuple[str, int]:
        """From where on and how many results are wanted. Raises ``RefusedError``."""
        text = self.parameter("n")
        if not text:
            return self.parameter("last"), _USUAL_RESULTS
        if not text.isdecimal() or len(text) > 9:
            raise RefusedError(refusals.PAGINATION_INVALID, {"n": text[:32]})
        return self.parameter("last"), min(int(text), _MOST_RESULTS)


def document(content: bytes, **headers: str) -> web.Response:
    """A JSON answer."""
    return web.Response(body=content, content_type="application/json", headers=headers)


def empty(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status, headers=headers)

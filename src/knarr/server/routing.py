"""Finding the handler for a method and a path.

Law: a few dictionary look-ups, whatever the number of routes. A path is ``/noun/verb``,
``/noun/NAME`` or ``/noun/NAME/verb``; NAME may hold slashes (references of images), so it is what
stands between noun and verb. Unknown paths and unknown methods are both "page not found", as in
Docker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from .call import Call

    Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A handler; ``streams``: it is cancelled when the client goes away."""

    handler: Handler
    streams: bool = False


class Router:
    """All routes."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._verbs: dict[tuple[str, str, str], Route] = {}
        self._names: dict[tuple[str, str], Route] = {}

    def add(self, method: str, path: str, handler: Handler, *, streams: bool = False) -> None:
        """Add a route: ``/info``, ``/images/{}/json`` or ``/images/{}``."""
        route = Route(handler, streams)
        noun, braces, verb = path.partition("/{}")
        if not braces:
            self._exact[method, path] = route
        elif verb:
            self._verbs[method, noun, verb[1:]] = route
        else:
            self._names[method, noun] = route

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route, and the NAME in the path ("" if it has none). Raises ``NotFoundError``."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, ""
        end = path.find("/", 1)
        if end > 0:
            noun, rest = path[:end], path[end + 1 :]
            name, slash, verb = rest.rpartition("/")
            if verb == "ws" and name.endswith("/attach"):
                name, verb = name.removesuffix("/attach"), "attach/ws"
            route = self._verbs.get((method, noun, verb)) if slash else None
            if route is not None and name.strip("/"):
                return route, name
            route = self._names.get((method, noun))
            if route is not None and rest.strip("/"):
                return route, rest
        raise NotFoundError("page not found")

"""Events: what happened, told to everyone who listens, and remembered for a while.

Law: ``publish`` never waits. The last ``HISTORY`` events can be asked for again. A listener that
does not keep up loses its stream, rather than single events without knowing it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from knarr.api import filters as api_filters
from knarr.api.events import Actor, Event, event
from knarr.errors import InvalidArgumentError, ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

HISTORY = 1024
_BACKLOG = 4096
_SECOND = 1_000_000_000
_KINDS = ("container", "image", "volume", "network", "daemon", "plugin")
_KNOWN = frozenset(
    {*_KINDS, "type", "event", "label", "scope", "service", "node", "secret", "config"}
)


class EventBus:
    """The events of one engine; used on the loop only."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def publish(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:
        """Tell that ``action`` happened to the object ``actor_id`` of this ``kind``."""
        happened = event(
            kind,
            action,
            Actor(id=actor_id, attributes=dict(attributes)),
            time_ns=time.time_ns(),
        )
        self._history.append(happened)
        for listener in list(self._listeners):
            if listener.qsize() < _BACKLOG:
                listener.put_nowait(happened)
            else:
                self._listeners.discard(listener)

    def stream(
        self,
        *,
        since: int | None,
        until: int | None,
        filters: Mapping[str, Sequence[str]],
    ) -> AsyncIterator[Event]:
        """Past events from ``since`` on, then the coming ones, to the moment ``until``.

        It listens from this call on, and must be iterated to its end or closed. Without ``until``
        it ends with the engine. Raises ``ResourceExhaustedError`` when the reader was too slow.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        if not self._closed:
            self._listeners.add(queue)
        past = [one for one in self._history if since is not None and one.time_nano >= since]
        return self._read(queue, past, until, filters)

    async def _read(
        self,
        queue: asyncio.Queue[Event | None],
        past: list[Event],
        until: int | None,
        filters: Mapping[str, Sequence[str]],
    ) -> AsyncIterator[Event]:
        try:
            for one in past:
                if (until is None or one.time_nano <= until) and matches(one, filters):
                    yield one
            async for one in self._coming(queue, until):
                if matches(one, filters):
                    yield one
        finally:
            self._listeners.discard(queue)

    async def _coming(
        self, queue: asyncio.Queue[Event | None], until: int | None
    ) -> AsyncIterator[Event]:
        while True:
            if queue.empty() and queue not in self._listeners:
                if self._closed:
                    return
                raise ResourceExhaustedError("the reader of the events is too slow")
            left = None if until is None else (until - time.time_ns()) / _SECOND
            if left is not None and left <= 0 and queue.empty():
                return
            try:
                async with asyncio.timeout(left):
                    one = await queue.get()
            except TimeoutError:
                return
            if one is None:
                return
            yield one

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for listener in self._listeners:
            listener.put_nowait(None)


def check_filters(filters: Mapping[str, Sequence[str]]) -> None:
    """Refuse filters that Docker does not know."""
    for name in filters:
        if name not in _KNOWN:
            raise InvalidArgumentError(f"invalid filter '{name}'")


def matches(one: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    """Whether the event passes: one value of each filter that is given, all of the labels."""
    attributes = one.actor.attributes
    action = one.action.partition(":")[0]
    return (
        _one_of(filters.get("type"), {one.type})
        and _one_of(filters.get("event"), {one.action, action})
        and _one_of(filters.get("scope"), {one.scope})
        and api_filters.match_labels(filters.get("label", ()), attributes)
        and all(_of_object(one, kind, filters[kind]) for kind in _KINDS if filters.get(kind))
    )


def _one_of(wanted: Sequence[str] | None, actual: set[str]) -> bool:
    return not wanted or not actual.isdisjoint(wanted)


def _of_object(one: Event, kind: str, wanted: Sequence[str]) -> bool:
    """Whether the event is about one of these objects, by id, prefix of the id, or name."""
    attributes = one.actor.attributes
    if kind == "image" and one.type == "container":
        names = {attributes.get("image", "")}
    elif one.type == kind:
        names = {one.actor.id, attributes.get("name", "")}
    else:
        return False
    if kind == "image":
        names |= {name.rpartition(":")[0] for name in names}
    return any(
        value in names or (kind == "container" and one.actor.id.startswith(value))
        for value in wanted
        if value
    )

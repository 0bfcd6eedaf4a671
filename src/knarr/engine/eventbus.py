"""Events: what happened, told to everyone who listens, and remembered for a while.

Law: ``publish`` never waits. The last ``HISTORY`` events can be asked for again. A listener that
does not keep up loses its stream, rather than single events without knowing it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from knarr.api.events import Actor, Event, event
from knarr.errors import ResourceExhaustedError

from .eventfilter import matches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

HISTORY = 1024
_BACKLOG = 4096
_SECOND = 1_000_000_000


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
            Actor(id=actor_id, attributes=dict(sorted(attributes.items()))),
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

        Without ``since`` the past is told only if an end is given, and then all of it, as in
        Docker. It listens from this call on, and must be iterated to its end or closed. Without
        ``until`` it ends with the engine. Raises ``ResourceExhaustedError`` when the reader was
        too slow.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        if not self._closed:
            self._listeners.add(queue)
        past: list[Event] = []
        if since is not None or until is not None:
            past = [one for one in self._history if one.time_nano >= (since or 0)]
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

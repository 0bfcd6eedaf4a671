from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from knarr.engine import eventbus
from knarr.engine.eventbus import EventBus
from knarr.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def publish(bus: EventBus, action: str, name: str = "web", kind: str = "container") -> None:
    attributes = {"name": name, "image": "busybox:1", "tier": "front"}
    bus.publish(kind, action, f"id-{name}", attributes)


async def collect(
    bus: EventBus,
    filters: Mapping[str, Sequence[str]] | None = None,
    *,
    since: int | None = 0,
    until: int | None = None,
) -> list[str]:
    end = until if until is not None else time.time_ns()
    stream = bus.stream(since=since, until=end, filters=filters or {})
    return [f"{one.type} {one.action} {one.actor.attributes['name']}" async for one in stream]


def test_history_is_told_in_order_and_bounded() -> None:
    async def scene() -> None:
        bus = EventBus()
        for number in range(eventbus.HISTORY + 5):
            publish(bus, "create", str(number))
        told = await collect(bus)
        assert len(told) == eventbus.HISTORY
        assert told[0] == "container create 5"
        assert await collect(bus, since=None) == told
        coming = bus.stream(since=None, until=None, filters={})
        bus.close()
        assert [one async for one in coming] == []

    asyncio.run(scene())


def test_coming_events_are_not_missed_before_the_first_step() -> None:
    async def scene() -> None:
        bus = EventBus()
        stream = bus.stream(since=None, until=None, filters={})
        assert bus.listeners == 1
        publish(bus, "start")
        publish(bus, "die")
        assert (await anext(stream)).action == "start"
        assert (await anext(stream)).action == "die"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        publish(bus, "destroy")
        event = await waiting
        assert (event.status, event.id, event.from_) == ("destroy", "id-web", "busybox:1")
        bus.close()
        assert [one async for one in stream] == []
        assert bus.listeners == 0

    asyncio.run(scene())


def test_since_and_until_bound_the_past() -> None:
    async def scene() -> None:
        bus = EventBus()
        publish(bus, "create")
        middle = time.time_ns()
        publish(bus, "start")
        assert await collect(bus, until=middle) == ["container create web"]
        assert await collect(bus, since=middle) == ["container start web"]

    asyncio.run(scene())


def test_a_slow_listener_loses_its_stream_not_single_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventbus, "_BACKLOG", 3)

    async def scene() -> None:
        bus = EventBus()
        stream = bus.stream(since=None, until=None, filters={})
        for number in range(5):
            publish(bus, "create", str(number))
        told = [(await anext(stream)).actor.attributes["name"] for _ in range(3)]
        assert told == ["0", "1", "2"]
        with pytest.raises(ResourceExhaustedError):
            await anext(stream)

    asyncio.run(scene())

"""Watching health with a clock that the test turns, and checks that answer as told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig, HealthConfig
from knarr.api.host_config import HostConfig
from knarr.containers import record as records
from knarr.containers.health import ON_FAILURE, Check, Health, HealthStatus, Result
from knarr.containers.record import Status
from knarr.engine.eventbus import EventBus
from knarr.engine.health import Healths
from knarr.engine.live import LiveContainer
from knarr.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.containers.record import Record
    from knarr.engine.live import ContainerStore
    from knarr.metadata import Database

SECOND = 10**9
START = 1000 * SECOND


class TurnedClock:
    """Time stands still until the test turns it."""

    def __init__(self) -> None:
        self.now = START
        self.timers: list[Timer] = []

    def now_ns(self) -> int:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self.now + round(seconds * SECOND), callback)
        self.timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[float]:
        """In how many seconds which timers fire."""
        return [(one.due - self.now) / SECOND for one in self.timers if not one.done]

    async def turn(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.now += round(seconds * SECOND)
        for timer in list(self.timers):
            if not timer.done and timer.due <= self.now:
                timer.done = True
                timer.callback()
        for _ in range(10):
            await asyncio.sleep(0)


class Timer:
    def __init__(self, due: int, callback: Callable[[], None]) -> None:
        self.due, self.callback, self.done = due, callback, False

    def cancel(self) -> None:
        self.done = True


class World:
    """One watched container with everything around it."""

    def __init__(self, store: ContainerStore, live: LiveContainer) -> None:
        self.live = live
        self.clock = TurnedClock()
        self.events = EventBus()
        self.answers: list[int | None] = []
        self.answered = asyncio.Event()
        self.answered.set()
        self.begun = 0
        self.done: list[str] = []
        self.fails = False
        self.healths = Healths(store, self.events, self.probe, self, self.clock)

    async def probe(
        self, live: LiveContainer, check: Check, stopped: asyncio.Event
    ) -> Result | None:
        assert live is self.live
        assert check.command == ("test",)
        self.begun += 1
        start = self.clock.now
        await self.answered.wait()
        code = self.answers.pop(0)
        if code is None:
            return None
        return Result(start_ns=start, end_ns=self.clock.now, exit_code=code, output="said")

    async def kill(self, live: LiveContainer, signal: str) -> None:
        await self._act(f"kill {signal}")

    async def stop(self, live: LiveContainer, *, grace: int | None, signal: str) -> None:
        await self._act("stop")

    async def replace(self, live: LiveContainer) -> None:
        await self._act("replace")

    async def _act(self, what: str) -> None:
        self.done.append(what)
        if self.fails:
            raise InternalError("no")

    def start(self) -> None:
        state = self.live.record.state
        state.status, state.started_ns = Status.RUNNING, self.clock.now
        self.healths.begin(self.live)

    @property
    def health(self) -> Health:
        known = self.live.record.state.health
        assert known
        return known

    async def told(self) -> list[str]:
        self.events.close()
        return [one.action async for one in self.events.stream(since=0, until=None, filters={})]


@pytest.fixture
def play(
    store: ContainerStore, database: Database, make_record: Callable[..., Record]
) -> Callable[..., None]:
    """Run a scene in a world with these numbers of the check."""

    def play(scene: Callable[[World], Any], *, action: str = "none", **numbers: int) -> None:
        async def run() -> None:
            values = {"interval": 30 * SECOND, **numbers}
            record = make_record(
                1,
                "x",
                layers=(),
                config=ContainerConfig(healthcheck=HealthConfig(test=["CMD", "test"], **values)),
                host_config=HostConfig(annotations={ON_FAILURE: action}),
            )
            database.containers.insert(record.id, "x", "i", (), records.encode(record))
            live = LiveContainer(record)
            store.add(live)
            world = World(store, live)
            await scene(world)
            await world.healths.close()
            assert world.clock.waiting == []
            store.flush()

        asyncio.run(run())

    return play


def test_one_timer_between_two_checks(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        assert (world.health.status, world.clock.waiting) == (HealthStatus.STARTING, [30])
        await world.clock.turn(29)
        assert world.begun == 0
        world.answers = [0, 1]
        world.answered.clear()
        await world.clock.turn(1)
        assert (world.begun, world.clock.waiting) == (1, []), "no timer while a check is made"
        world.answered.set()
        await world.clock.turn(2)
        assert (world.health.status, world.clock.waiting) == (HealthStatus.HEALTHY, [30])
        await world.clock.turn(30)
        assert (world.health.failing_streak, world.begun) == (1, 2)
        assert await world.told() == ["health_status: healthy"]

    play(scene)


def test_the_start_period_has_its_own_interval(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        assert world.clock.waiting == [5]
        world.answers = [1, 1, 1, 1]
        for _ in range(2):
            await world.clock.turn(5)
        assert (world.health.failing_streak, world.clock.waiting) == (0, [5])
        await world.clock.turn(5)
        assert (world.health.failing_streak, world.clock.waiting) == (1, [30])
        await world.clock.turn(30)
        assert world.health.status is HealthStatus.UNHEALTHY
        assert await world.told() == ["health_status: unhealthy"]

    play(scene, start_period=12 * SECOND, retries=2)


def test_a_frozen_container_is_not_checked(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        watch = world.live.monitor
        assert watch
        world.answers = [0]
        await world.clock.turn(30)
        watch.stop()
        assert (world.health.status, world.clock.waiting) == (HealthStatus.UNHEALTHY, [])
        await world.clock.turn(100)
        watch.resume()
        watch.resume()
        assert world.clock.waiting == [30]
        world.answers = [0]
        await world.clock.turn(30)
        assert world.health.status is HealthStatus.HEALTHY
        assert await world.told() == ["health_status: healthy"] * 2

    play(scene)


def test_a_result_that_comes_too_late_does_not_count(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        first = world.live.monitor
        assert first
        world.answers, world.answered = [1, 0], asyncio.Event()
        await world.clock.turn(30)
        first.stop()
        world.start()
        world.answered.set()
        await world.clock.turn(1)
        assert (world.health.status, world.health.log) == (HealthStatus.STARTING, ())
        await world.clock.turn(29)
        assert (world.health.status, len(world.health.log)) == (HealthStatus.HEALTHY, 1)

    play(scene)


def test_no_result_says_nothing(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        world.answers = [1, None, 1]
        for _ in range(2):
            await world.clock.turn(30)
        assert (world.health.failing_streak, world.clock.waiting) == (1, [30])
        await world.clock.turn(30)
        assert world.done == ["stop"]

    play(scene, action="stop", retries=2)


def test_without_a_check_there_is_nothing(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        for test in (["NONE"], ["BOGUS"]):
            world.live.record.config = ContainerConfig(healthcheck=HealthConfig(test=test))
            world.start()
            world.healths.take_over(world.live)
            assert (world.live.monitor, world.live.record.state.health) == (None, None)

    play(scene)


@pytest.mark.parametrize(("passed", "left"), [(0, 30), (12, 18), (100, 0), (-50, 30)])
def test_another_engine_goes_on(play: Callable[..., None], passed: int, left: int) -> None:
    async def scene(world: World) -> None:
        state = world.live.record.state
        state.status, state.started_ns = Status.RUNNING, START - 500 * SECOND
        last = Result(start_ns=START - 1, end_ns=START, exit_code=1, output="")
        state.health = known = Health(status=HealthStatus.HEALTHY, failing_streak=2, log=(last,))
        world.clock.now += passed * SECOND
        world.healths.take_over(world.live)
        assert (world.health, world.clock.waiting) == (known, [left])
        world.answers = [1]
        await world.clock.turn(left)
        assert world.health.status is HealthStatus.UNHEALTHY

    play(scene)


def test_another_engine_leaves_a_frozen_one_alone(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        state = world.live.record.state
        state.status, state.health = Status.PAUSED, Health()
        world.healths.take_over(world.live)
        assert world.clock.waiting == []
        assert world.live.monitor
        world.live.monitor.resume()
        assert world.clock.waiting == [30]

    play(scene)


@pytest.mark.parametrize(
    ("action", "expected"),
    [("none", []), ("kill", ["kill KILL"]), ("stop", ["stop"]), ("restart", ["replace"])],
)
def test_what_happens_to_an_unhealthy_one(
    play: Callable[..., None], action: str, expected: list[str]
) -> None:
    async def scene(world: World) -> None:
        world.start()
        world.answers, world.fails = [1, 1, 1, 0], True
        await world.clock.turn(30)
        assert world.done == []
        await world.clock.turn(30)
        assert world.done == expected
        await world.clock.turn(30)
        assert world.done == expected * 2, "what did not help is tried again"
        await world.clock.turn(30)
        assert world.done == expected * 2

    play(scene, action=action, retries=2)


def test_nothing_is_done_to_one_that_is_being_ended(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.start()
        world.answers = [1, 1]
        world.live.ending += 1
        await world.clock.turn(30)
        assert (world.health.status, world.done) == (HealthStatus.UNHEALTHY, [])
        world.live.ending -= 1
        await world.clock.turn(30)
        assert world.done == ["kill KILL"]

    play(scene, action="kill", retries=1)


def test_the_end_is_seen_also_where_nobody_watched(play: Callable[..., None]) -> None:
    async def scene(world: World) -> None:
        world.live.record.state.health = Health(status=HealthStatus.HEALTHY, failing_streak=1)
        world.healths.end(world.live)
        assert (world.health.status, world.health.failing_streak) == (HealthStatus.UNHEALTHY, 1)
        world.start()
        world.healths.end(world.live)
        assert (world.health.status, world.clock.waiting) == (HealthStatus.UNHEALTHY, [])

    play(scene)

"""``stats``: samples of what containers use, one a second while somebody listens.

Law: one task and one timer for each container that is watched, whoever many watch it; no thread of
its own. Who does not keep up misses samples. The last one to leave ends the task.

Source: moby ``daemon/stats.go`` and ``daemon/stats/collector.go``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from knarr.api.message import ZERO_TIME
from knarr.api.stats import CPUStats, StatsResponse
from knarr.errors import InvalidArgumentError, KnarrError
from knarr.runtime.cgroups import Cgroup

from . import usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from .live import LiveContainer
    from .parts import Parts
    from .preparation import Preparation

_INTERVAL = 1.0
_log = logging.getLogger(__name__)


class _Watch:
    """A container that is watched; ``next`` is its next sample, None when it is gone."""

    def __init__(self) -> None:
        self.listeners = 0
        self.next = _future()
        self.task: asyncio.Task[None] | None = None

    def tell(self, sample: StatsResponse | None) -> None:
        """Give a sample to everyone who waits."""
        told, self.next = self.next, _future()
        told.set_result(sample)


def _future() -> asyncio.Future[StatsResponse | None]:
    return asyncio.get_running_loop().create_future()


class Sampler:
    """The statistics of one engine's containers."""

    def __init__(self, parts: Parts, preparation: Preparation) -> None:
        self._parts = parts
        self._preparation = preparation
        self._watched: dict[str, _Watch] = {}

    @property
    def watched(self) -> int:
        """How many containers are being sampled."""
        return len(self._watched)

    def stats(
        self, live: LiveContainer, *, stream: bool, one_shot: bool
    ) -> AsyncIterator[StatsResponse]:
        """Samples without end, or one, which ``one_shot`` has no earlier one to compare with.

        Raises ``InvalidArgumentError`` when both are asked for. To be closed or read to its end.
        """
        if stream and one_shot:
            raise InvalidArgumentError("cannot have stream=true and one-shot=true")
        if one_shot or (not stream and not live.record.is_running):
            return self._once(live)
        return self._compared(live) if stream else self._second(live)

    async def _once(self, live: LiveContainer) -> AsyncIterator[StatsResponse]:
        yield await self._sample(live)

    async def _second(self, live: LiveContainer) -> AsyncIterator[StatsResponse]:
        """The first sample that can be compared with one before it."""
        samples = self._compared(live)
        try:
            await anext(samples, None)
            async for sample in samples:
                yield sample
                break
        finally:
            await samples.aclose()

    async def _compared(self, live: LiveContainer) -> AsyncGenerator[StatsResponse]:
        """Each sample, with the CPU part of the one before it."""
        watch = self._watched.setdefault(live.id, _Watch())
        watch.listeners += 1
        before, moment = CPUStats(), ZERO_TIME
        try:
            if watch.task is None or watch.task.done():
                watch.task = asyncio.create_task(self._watch(live, watch))
            # Shielded: the future is everybody's, and who leaves must not cancel it.
            while (sample := await asyncio.shield(watch.next)) is not None:
                yield msgspec.structs.replace(sample, precpu_stats=before, preread=moment)
                before, moment = sample.cpu_stats, sample.read
        finally:
            watch.listeners -= 1
            if not watch.listeners:
                del self._watched[live.id]
                if watch.task is not None:
                    watch.task.cancel()

    async def _watch(self, live: LiveContainer, watch: _Watch) -> None:
        """Sample until the container is gone or nobody listens."""
        gone = live.removal()
        try:
            while self._parts.containers.find(live.id) is live:
                watch.tell(await self._sample(live))
                await asyncio.wait([gone], timeout=_INTERVAL)
        finally:
            gone.cancel()
            watch.tell(None)

    async def _sample(self, live: LiveContainer) -> StatsResponse:
        """What it uses now: nothing, if it does not run."""
        record = live.record
        if record.is_running:
            cgroup = Cgroup(self._preparation.cgroups_path(record), self._parts.facts.layout)
            name, pid, memory = record.name, record.state.pid, self._parts.facts.memory
            try:
                found = await self._parts.workers.run(
                    lambda: usage.sample(name, record.id, cgroup, pid, memory)
                )
            except (KnarrError, OSError) as error:
                _log.debug("statistics of container %s: %s", record.id, error)
            else:
                if record.is_running:
                    return found
        return StatsResponse(name=f"/{record.name}", id=record.id)

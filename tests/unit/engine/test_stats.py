from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from knarr.api.message import ZERO_TIME
from knarr.api.stats import CPUStats, CPUUsage, StatsResponse
from knarr.containers.record import State, Status
from knarr.engine import stats, usage
from knarr.errors import InvalidArgumentError
from knarr.runtime.cgroups import Cgroup, Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from knarr.engine.live import ContainerStore, LiveContainer

MIB = 1 << 20


class Sampler(stats.Sampler):
    """Counts, instead of reading what a kernel counted."""

    def __init__(self, store: ContainerStore) -> None:
        super().__init__(cast("Any", SimpleNamespace(containers=store)), cast("Any", None))
        self.taken = 0

    async def _sample(self, live: LiveContainer) -> StatsResponse:
        self.taken += 1
        used = CPUStats(cpu_usage=CPUUsage(total_usage=self.taken))
        return StatsResponse(name=live.name, id=live.id, read=str(self.taken), cpu_stats=used)


@pytest.fixture
def sampler(store: ContainerStore, monkeypatch: pytest.MonkeyPatch) -> Sampler:
    monkeypatch.setattr(stats, "_INTERVAL", 0.001)
    return Sampler(store)


@pytest.fixture
def live(add: Callable[..., LiveContainer]) -> LiveContainer:
    return add(1, "web", state=State(status=Status.RUNNING, pid=1))


def test_a_stream_tells_of_the_sample_before(sampler: Sampler, live: LiveContainer) -> None:
    async def watch() -> list[tuple[str, int]]:
        seen = []
        async for one in sampler.stats(live, stream=True, one_shot=False):
            seen.append((one.preread, one.precpu_stats.cpu_usage.total_usage))
            if len(seen) == 3:
                break
        return seen

    assert asyncio.run(watch()) == [(ZERO_TIME, 0), ("1", 1), ("2", 2)]


def test_one_can_be_compared_and_a_one_shot_cannot(sampler: Sampler, live: LiveContainer) -> None:
    async def ask(*, one_shot: bool) -> list[str]:
        return [one.preread async for one in sampler.stats(live, stream=False, one_shot=one_shot)]

    assert asyncio.run(ask(one_shot=False)) == ["1"]
    assert sampler.watched == 0
    assert asyncio.run(ask(one_shot=True)) == [ZERO_TIME]


def test_listeners_share_the_work_and_the_last_one_ends_it(
    sampler: Sampler, live: LiveContainer
) -> None:
    async def watch() -> None:
        streams = [cast("Any", sampler.stats(live, stream=True, one_shot=False)) for _ in range(9)]
        first = await asyncio.gather(*(anext(each) for each in streams))
        assert {one.read for one in first} == {"1"}
        for each in streams[1:]:
            await each.aclose()
        assert sampler.watched == 1
        assert (await anext(streams[0])).read > "1"
        await streams[0].aclose()
        assert sampler.watched == 0
        taken = sampler.taken
        await asyncio.sleep(0.01)
        assert sampler.taken == taken

    asyncio.run(watch())


def test_a_client_that_is_cancelled_leaves_the_others(
    sampler: Sampler, live: LiveContainer
) -> None:
    async def watch() -> None:
        async def follow(seen: list[str]) -> None:
            stream = cast("Any", sampler.stats(live, stream=True, one_shot=False))
            async with contextlib.aclosing(stream):
                async for one in stream:
                    seen += [one.read]

        seen: tuple[list[str], list[str]] = ([], [])
        tasks = [asyncio.create_task(follow(each)) for each in seen]
        while not all(seen):
            await asyncio.sleep(0.001)
        tasks[0].cancel()
        before = len(seen[1])
        while len(seen[1]) < before + 2:
            await asyncio.sleep(0.001)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert sampler.watched == 0

    asyncio.run(watch())


def test_a_stream_ends_with_its_container(
    sampler: Sampler, live: LiveContainer, store: ContainerStore
) -> None:
    async def watch() -> int:
        count = 0
        async for _ in sampler.stats(live, stream=True, one_shot=False):
            count += 1
            if count == 2:
                store.discard(live)
                live.tell_removal()
        return count

    assert asyncio.run(watch()) >= 2
    assert sampler.watched == 0


def test_a_stream_cannot_be_one_shot(sampler: Sampler, live: LiveContainer) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot have stream=true and one-shot=true"):
        sampler.stats(live, stream=True, one_shot=True)


def _files(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_fields_of_v2(tmp_path: Path) -> None:
    memory = (
        "anon 5\nfile 7\ninactive_file 6\nworkingset_refault_anon 1\nworkingset_refault_file 2\n"
    )
    _files(
        tmp_path / "box",
        cpu__stat="usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 3\nnr_throttled 2\n"
        "throttled_usec 4\n",
        memory__current=str(MIB),
        memory__peak=str(2 * MIB),
        memory__max="max\n",
        memory__events="oom 2\noom_kill 1\n",
        memory__stat=memory,
        pids__current="4\n",
        pids__max="max\n",
        io__stat="8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n",
    )
    layout = Layout(str(tmp_path), frozenset({"cpu", "memory", "pids", "io"}), {})
    found = usage.sample("x", "id", Cgroup("/box", layout), 0, 64 * MIB)
    assert found.name == "/x"
    assert found.cpu_stats.cpu_usage == CPUUsage(
        total_usage=30_000, usage_in_kernelmode=20_000, usage_in_usermode=10_000
    )
    assert found.cpu_stats.throttling_data.throttled_time == 4_000
    assert found.cpu_stats.online_cpus > 0
    assert found.cpu_stats.system_cpu_usage > 0
    now = found.memory_stats
    assert (now.usage, now.max_usage, now.limit, now.failcnt) == (MIB, 0, 64 * MIB, 2)
    assert now.stats is not None
    assert (now.stats["inactive_file"], now.stats["workingset_refault"]) == (6, 3)
    assert (found.pids_stats.current, found.pids_stats.limit) == (4, 0)
    sizes = found.blkio_stats.io_service_bytes_recursive or []
    assert [(each.op, each.value) for each in sizes] == [("read", 4096), ("write", 512)]
    assert found.blkio_stats.io_serviced_recursive is None
    assert found.networks is None


def test_fields_of_v1(tmp_path: Path) -> None:
    bytes_ = "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 1\n8:0 Total 4608\nTotal 4608\n"
    _files(
        tmp_path / "box",
        cpu__stat="nr_periods 3\nnr_throttled 2\nthrottled_time 4\n",
        cpuacct__usage="30\n",
        cpuacct__usage_percpu="10 20\n",
        cpuacct__usage_user="10\n",
        cpuacct__usage_sys="20\n",
        memory__usage_in_bytes=str(MIB),
        memory__max_usage_in_bytes=str(2 * MIB),
        memory__limit_in_bytes=str((1 << 63) - 4096),
        memory__failcnt="3\n",
        memory__stat="cache 5\ntotal_inactive_file 6\nswapcached 9\n",
        pids__current="4\n",
        pids__max="9\n",
        blkio__throttle__io_service_bytes_recursive=bytes_,
        blkio__throttle__io_serviced_recursive="Total 0\n",
    )
    controllers = ("cpu", "cpuacct", "memory", "pids", "blkio")
    layout = Layout("", frozenset(), dict.fromkeys(controllers, str(tmp_path)))
    found = usage.sample("x", "id", Cgroup("/box", layout), 0, 64 * MIB)
    assert found.cpu_stats.cpu_usage == CPUUsage(
        total_usage=30, percpu_usage=[10, 20], usage_in_kernelmode=20, usage_in_usermode=10
    )
    now = found.memory_stats
    assert (now.usage, now.max_usage, now.limit, now.failcnt) == (MIB, 2 * MIB, 64 * MIB, 3)
    assert now.stats is not None
    assert (now.stats["total_inactive_file"], now.stats["rss"]) == (6, 0)
    assert "swapcached" not in now.stats
    assert found.pids_stats.limit == 9
    sizes = found.blkio_stats.io_service_bytes_recursive or []
    assert [each.op for each in sizes] == ["Read", "Write", "Sync", "Total"]
    assert found.blkio_stats.io_serviced_recursive == []

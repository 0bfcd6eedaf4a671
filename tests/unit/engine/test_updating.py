from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from knarr.api.host_config import ContainerUpdateRequest, HostConfig
from knarr.containers import facts
from knarr.containers.record import State, Status
from knarr.engine import updating
from knarr.engine.parts import OWN_RUNTIME
from knarr.errors import DataLossError, InvalidArgumentError, KnarrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.live import LiveContainer
    from knarr.engine.workers import Workers

BEFORE = HostConfig(network_mode="none", runtime=OWN_RUNTIME, cpu_shares=100)


class Kernel:
    """In place of a cgroup: notes what is written and what is taken back."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refuses = False

    def __call__(self, path: str, layout: object) -> Kernel:
        del path, layout
        return self

    def update(self, wanted: Any) -> list[str]:
        if self.refuses:
            raise InvalidArgumentError('write "1" to "cpu.shares": invalid argument')
        self.done.append(f"shares {wanted['cpu']['shares']}")
        return ["back"]

    def restore(self, changes: list[str]) -> None:
        self.done += changes


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(updating, "Cgroup", made)
    return made


@pytest.fixture
def live(add: Callable[..., LiveContainer]) -> LiveContainer:
    state = State(status=Status.RUNNING, pid=1)
    return add(1, "web", state=state, host_config=BEFORE)


@pytest.fixture
def update(workers: Workers, live: LiveContainer) -> Callable[..., None]:
    """Update the container; ``fails`` is how the storing of its record ends."""
    here = facts.gather()

    def update(request: ContainerUpdateRequest, fails: KnarrError | None = None) -> None:
        async def save(stored: LiveContainer) -> None:
            assert stored is live
            if fails is not None:
                raise fails

        parts = SimpleNamespace(containers=SimpleNamespace(save=save), facts=here, workers=workers)
        preparation = SimpleNamespace(cgroups_path=lambda _record: "/x")
        asyncio.run(updating.update(cast("Any", parts), cast("Any", preparation), live, request))

    return update


def test_the_record_follows_the_kernel(
    update: Callable[..., None], live: LiveContainer, kernel: Kernel
) -> None:
    update(ContainerUpdateRequest(cpu_shares=300))
    assert kernel.done == ["shares 300"]
    assert live.record.host_config.cpu_shares == 300


def test_what_the_kernel_refuses_is_not_recorded(
    update: Callable[..., None], live: LiveContainer, kernel: Kernel
) -> None:
    kernel.refuses = True
    with pytest.raises(InvalidArgumentError, match=f"^Cannot update container {live.id}: write"):
        update(ContainerUpdateRequest(cpu_shares=300))
    assert live.record.host_config is BEFORE


def test_what_cannot_be_stored_is_taken_back(
    update: Callable[..., None], live: LiveContainer, kernel: Kernel
) -> None:
    with pytest.raises(DataLossError):
        update(ContainerUpdateRequest(cpu_shares=300), DataLossError("disk full"))
    assert kernel.done == ["shares 300", "back"]
    assert live.record.host_config is BEFORE


def test_a_request_without_limits_leaves_the_kernel_alone(
    update: Callable[..., None], live: LiveContainer, kernel: Kernel
) -> None:
    update(ContainerUpdateRequest())
    assert kernel.done == []
    assert live.record.host_config == BEFORE

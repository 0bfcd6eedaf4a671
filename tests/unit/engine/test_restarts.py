"""The decision about a restart, and the pause before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig, HealthConfig
from knarr.api.host_config import HostConfig, RestartPolicy
from knarr.containers.health import ON_FAILURE, Health, HealthStatus
from knarr.containers.record import State, Status
from knarr.engine import restarts

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.containers.record import Record

SECOND = 10**9


@pytest.mark.parametrize(
    ("policy", "state", "wanted"),
    [
        ("no", {"exit_code": 1}, False),
        ("", {"exit_code": 1}, False),
        ("always", {}, True),
        ("always", {"stopped_by_user": True}, False),
        ("unless-stopped", {"exit_code": 3}, True),
        ("unless-stopped", {"stopped_by_user": True}, False),
        ("on-failure", {}, False),
        ("on-failure", {"exit_code": 1, "restart_count": 100}, True),
        ("on-failure", {"exit_code": 1, "stopped_by_user": True}, False),
        ("on-failure:2", {"exit_code": 1, "restart_count": 1}, True),
        ("on-failure:2", {"exit_code": 1, "restart_count": 2}, False),
    ],
)
def test_what_a_policy_wants(
    make_record: Callable[..., Record], policy: str, state: dict[str, Any], wanted: bool
) -> None:
    name, _, limit = policy.partition(":")
    host = HostConfig(restart_policy=RestartPolicy(name=name, maximum_retry_count=int(limit or 0)))
    record = make_record(1, "x", host_config=host, state=State(**state))
    assert restarts.are_wanted(record) is wanted


@pytest.mark.parametrize(
    ("action", "health", "stopped", "wanted"),
    [
        ("restart", Health(status=HealthStatus.UNHEALTHY, failing_streak=3), False, True),
        ("restart", Health(status=HealthStatus.UNHEALTHY, failing_streak=3), True, False),
        ("restart", Health(status=HealthStatus.UNHEALTHY, failing_streak=2), False, False),
        ("restart", None, False, False),
        ("stop", Health(status=HealthStatus.UNHEALTHY, failing_streak=3), False, False),
    ],
)
def test_bad_health_may_want_one_too(
    make_record: Callable[..., Record],
    action: str,
    health: Health | None,
    stopped: bool,
    wanted: bool,
) -> None:
    record = make_record(
        1,
        "x",
        config=ContainerConfig(healthcheck=HealthConfig(test=["CMD", "a"])),
        host_config=HostConfig(annotations={ON_FAILURE: action}),
        state=State(health=health, stopped_by_user=stopped),
    )
    assert restarts.are_wanted(record) is wanted


def test_pauses_double_to_a_minute_and_begin_anew_after_ten_seconds() -> None:
    state = State()
    pauses = []
    for number in range(12):
        state.started_ns, state.finished_ns = number * 100 * SECOND, number * 100 * SECOND + 1
        restarts.plan(state)
        assert state.status is Status.RESTARTING
        pauses.append(restarts.pause(state))
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[9:] == [51.2, 60.0, 60.0]
    state.finished_ns = state.started_ns + 10 * SECOND
    restarts.plan(state)
    assert restarts.pause(state) == 0.1
    assert state.restart_count == 13
    restarts.forget(state)
    assert (state.restart_count, state.restart_streak) == (0, 0)


def test_another_engine_waits_for_the_rest_of_the_pause() -> None:
    state = State(restart_streak=5, finished_ns=100 * SECOND)
    assert restarts.pause(state) == 1.6
    assert restarts.rest_of_pause(state, 101 * SECOND) == pytest.approx(0.6)
    assert restarts.rest_of_pause(state, 200 * SECOND) == 0
    assert restarts.rest_of_pause(state, 0) == 1.6, "the clock was set back"
    state.restart_streak = 10**6
    assert restarts.pause(state) == 60

"""Health checks as values: what is checked, how often, and what a result means."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.api.containers import ContainerConfig, HealthConfig
from knarr.api.host_config import HostConfig
from knarr.containers import health
from knarr.containers.health import Check, Health, HealthStatus, OnFailure, Result
from knarr.containers.record import State, Status
from knarr.containers.status import describe
from knarr.errors import InvalidArgumentError

SECOND = 10**9
STARTING, HEALTHY, UNHEALTHY = HealthStatus


def check(*test: str, host: HostConfig | None = None, **more: Any) -> Check | None:
    config = ContainerConfig(healthcheck=HealthConfig(test=list(test), **more))
    return health.check_of(config, host or HostConfig())


def annotated(action: str, *, auto_remove: bool = False) -> HostConfig:
    return HostConfig(annotations={health.ON_FAILURE: action}, auto_remove=auto_remove)


def test_numbers_that_are_left_open_are_dockers() -> None:
    assert check("CMD", "a", "b") == Check(
        ("a", "b"), 30 * SECOND, 30 * SECOND, 0, 5 * SECOND, 3, OnFailure.NONE
    )
    given = {"interval": 2, "timeout": 3, "start_period": 4, "start_interval": 5, "retries": 6}
    assert check("CMD", "a", host=annotated("kill"), **given) == Check(
        ("a",), 2, 3, 4, 5, 6, OnFailure.KILL
    )


def test_a_shell_is_the_images_or_sh() -> None:
    found = check("CMD-SHELL", "exit 1")
    assert found
    assert found.command == ("/bin/sh", "-c", "exit 1")
    config = ContainerConfig(healthcheck=HealthConfig(test=["CMD-SHELL", "x"]), shell=["ash", "-e"])
    found = health.check_of(config, HostConfig())
    assert found
    assert found.command == ("ash", "-e", "x")


@pytest.mark.parametrize("test", [[], ["NONE"], ["NONE", "x"], ["BOGUS", "true"]])
def test_what_is_no_check(test: list[str]) -> None:
    assert check(*test) is None


def test_the_image_fills_what_is_left_open() -> None:
    image = HealthConfig(test=["CMD", "a"], interval=7, retries=2)
    own = HealthConfig(timeout=3, retries=5)
    assert health.inherited(None, image) is image
    assert health.inherited(own, None) == own
    assert health.inherited(HealthConfig(test=[]), None) == HealthConfig()
    assert health.inherited(own, image) == HealthConfig(
        test=["CMD", "a"], interval=7, timeout=3, retries=5
    )
    off = HealthConfig(test=["NONE"])
    merged = health.inherited(off, image)
    assert merged
    assert merged.test == ["NONE"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"interval": 10}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"timeout": -1}, "Timeout in Healthcheck cannot be less than 1ms"),
        ({"start_period": 999_999}, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ({"start_interval": 1}, "StartInterval in Healthcheck cannot be less than 1ms"),
        ({"retries": -1}, "Retries in Healthcheck cannot be negative"),
    ],
)
def test_numbers_without_sense_are_refused(wanted: dict[str, int], message: str) -> None:
    config = ContainerConfig(healthcheck=HealthConfig(test=["CMD", "a"], **wanted))
    with pytest.raises(InvalidArgumentError) as caught:
        health.validate(config, HostConfig())
    assert caught.value.message == message


def test_what_happens_on_failure_is_checked() -> None:
    checked = ContainerConfig(healthcheck=HealthConfig(test=["CMD", "a"]))
    for good in ("none", "kill", "stop", "restart"):
        health.validate(checked, annotated(good))
    health.validate(checked, annotated("kill", auto_remove=True))
    with pytest.raises(InvalidArgumentError, match='invalid health-on-failure "burn": use one'):
        health.validate(checked, annotated("burn"))
    with pytest.raises(InvalidArgumentError, match="needs a health check"):
        health.validate(ContainerConfig(), annotated("stop"))
    with pytest.raises(InvalidArgumentError, match="can't create 'AutoRemove' container with"):
        health.validate(checked, annotated("restart", auto_remove=True))


def test_pauses_are_short_while_it_starts() -> None:
    found = check("CMD", "a", interval=30, start_period=20, start_interval=4)
    assert found
    assert found.pause(STARTING, 0) == 4
    assert found.pause(STARTING, 19) == 4
    assert found.pause(STARTING, 20) == 30
    assert found.pause(HEALTHY, 5) == 30


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ("", STARTING, 0),
        ("0", HEALTHY, 0),
        ("1", STARTING, 1),
        ("11", UNHEALTHY, 2),
        ("01", HEALTHY, 1),
        ("011", UNHEALTHY, 2),
        ("110", HEALTHY, 0),
        ("1101", HEALTHY, 1),
        ("111", UNHEALTHY, 3),
    ],
)
def test_failures_in_a_row_make_it_unhealthy(codes: str, status: HealthStatus, streak: int) -> None:
    found = check("CMD", "a", retries=2)
    assert found
    known = Health()
    for number, code in enumerate(codes):
        result = Result(start_ns=number, end_ns=number, exit_code=int(code), output="")
        known = known.after(result, found, 0)
    assert (known.status, known.failing_streak) == (status, streak)
    assert found.has_failed(known) is (status is UNHEALTHY)


def test_failures_in_the_start_period_do_not_count_until_a_success() -> None:
    found = check("CMD", "a", retries=1, start_period=100)
    assert found

    def result(start_ns: int, code: int) -> Result:
        return Result(start_ns=start_ns, end_ns=start_ns, exit_code=code, output="")

    early = Health().after(result(1050, 1), found, 1000)
    assert (early.status, early.failing_streak, len(early.log)) == (STARTING, 0, 1)
    assert early.after(result(1100, -1), found, 1000).status is UNHEALTHY
    well = early.after(result(1060, 0), found, 1000)
    assert well.after(result(1070, 1), found, 1000).status is UNHEALTHY


def test_the_last_five_results_are_kept_over_a_start() -> None:
    found = check("CMD", "a")
    assert found
    known = Health()
    for number in range(7):
        result = Result(start_ns=number, end_ns=number, exit_code=1, output=str(number))
        known = known.after(result, found, 0)
    assert [each.output for each in known.log] == ["2", "3", "4", "5", "6"]
    again = known.restarted()
    assert (again.status, again.failing_streak, again.log) == (STARTING, 0, known.log)


def test_one_that_nobody_watches_is_called_unhealthy_but_has_not_failed() -> None:
    found = check("CMD", "a", host=annotated("restart"))
    assert found
    gone = Health(status=HEALTHY).unwatched()
    assert gone.status is UNHEALTHY
    assert not found.has_failed(gone)
    assert not found.wants_restart(gone)
    assert found.wants_restart(Health(status=UNHEALTHY, failing_streak=3))


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (None, "Up 5 seconds"),
        (STARTING, "Up 5 seconds (health: starting)"),
        (HEALTHY, "Up 5 seconds (healthy)"),
        (UNHEALTHY, "Up 5 seconds (unhealthy)"),
    ],
)
def test_ps_says_how_it_is(status: HealthStatus | None, shown: str) -> None:
    known = None if status is None else Health(status=status)
    state = State(status=Status.RUNNING, started_ns=SECOND, health=known)
    assert describe(state, 6 * SECOND) == shown
    state.status = Status.PAUSED
    assert describe(state, 6 * SECOND) == "Up 5 seconds (Paused)"

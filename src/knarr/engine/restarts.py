"""Whether and when a container that has ended is started again.

Law: pure, over the record. The pause before a restart begins at a tenth of a second and doubles up
to a minute; a process that ran for ten seconds lets it begin anew. Count and streak are in the
record, so that another engine goes on with them.

Source: moby ``restartmanager``; podman-run(1) for what an unhealthy container does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers import health
from knarr.containers.record import Status

if TYPE_CHECKING:
    from knarr.containers.record import Record, State

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 60.0
_LONGEST_STREAK = 20
_SECOND = 1_000_000_000
_STEADY = 10 * _SECOND


def are_wanted(record: Record) -> bool:
    """Whether its restart policy, or its bad health, has it started again."""
    policy, state = record.host_config.restart_policy, record.state
    if state.stopped_by_user:
        return False
    if policy.name in {"always", "unless-stopped"}:
        return True
    limit = policy.maximum_retry_count
    if (
        policy.name == "on-failure"
        and state.exit_code != 0
        and (limit == 0 or state.restart_count < limit)
    ):
        return True
    if state.health is None:
        return False
    check = health.check_of(record.config, record.host_config)
    return check is not None and check.wants_restart(state.health)


def plan(state: State) -> None:
    """Note that it will be started again."""
    if state.finished_ns - state.started_ns >= _STEADY:
        state.restart_streak = 0
    state.status = Status.RESTARTING
    state.restart_count += 1
    state.restart_streak += 1


def forget(state: State) -> None:
    """Somebody starts it: the restarts of before do not count."""
    state.restart_count = state.restart_streak = 0


def pause(state: State) -> float:
    """The seconds between its end and the next start."""
    doublings = min(max(0, state.restart_streak - 1), _LONGEST_STREAK)
    return min(_FIRST_PAUSE * 2.0**doublings, _LONGEST_PAUSE)


def rest_of_pause(state: State, now_ns: int) -> float:
    """What is left of it."""
    return max(0.0, pause(state) - max(0.0, (now_ns - state.finished_ns) / _SECOND))

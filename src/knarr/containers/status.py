"""How a container's state reads in ``ps``: ``Up 5 seconds``, ``Exited (0) 3 minutes ago``.

Source: moby ``container/state.go`` (String) and ``go-units`` (HumanDuration).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.containers.health import HealthStatus
from knarr.containers.record import Status

if TYPE_CHECKING:
    from knarr.containers.record import State

_SECOND = 1_000_000_000
_MINUTE = 60
_HOUR = 3600
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY

#: Below this many seconds: that text.
_SMALL = (
    (1, "Less than a second"),
    (2, "1 second"),
    (_MINUTE, "{seconds} seconds"),
    (2 * _MINUTE, "About a minute"),
    (_HOUR, "{minutes} minutes"),
)
#: Below this many whole hours (rounded): that many of a unit of so many hours.
_LARGE = (
    (48, 1, "hours"),
    (14 * 24, 24, "days"),
    (60 * 24, 168, "weeks"),
    (730 * 24, 720, "months"),
)


_SIMPLE = {
    Status.CREATED: "Created",
    Status.REMOVING: "Removal In Progress",
    Status.DEAD: "Dead",
}


def human_duration(nanoseconds: int) -> str:
    """A rough length of time in words, as Docker rounds it."""
    seconds = nanoseconds // _SECOND
    for limit, text in _SMALL:
        if seconds < limit:
            return text.format(seconds=seconds, minutes=seconds // _MINUTE)
    hours = (seconds + _HOUR // 2) // _HOUR
    if hours == 1:
        return "About an hour"
    for limit, size, name in _LARGE:
        if hours < limit:
            return f"{hours // size} {name}"
    return f"{seconds // _YEAR} years"


def describe(state: State, now_ns: int) -> str:
    """The text of ``STATUS``."""
    simple = _SIMPLE.get(state.status)
    if simple is not None:
        return simple
    if state.status in {Status.RUNNING, Status.PAUSED}:
        since_start = human_duration(now_ns - state.started_ns)
        frozen = " (Paused)" if state.status is Status.PAUSED else _health(state)
        return f"Up {since_start}{frozen}"
    since_end = human_duration(now_ns - state.finished_ns)
    verb = "Restarting" if state.status is Status.RESTARTING else "Exited"
    return f"{verb} ({state.exit_code}) {since_end} ago"


def _health(state: State) -> str:
    if state.health is None:
        return ""
    if state.health.status is HealthStatus.STARTING:
        return " (health: starting)"
    return f" ({state.health.status})"

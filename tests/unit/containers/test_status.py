import pytest

from knarr.containers import signals, status
from knarr.containers.record import State, Status
from knarr.errors import InvalidArgumentError

SECOND = 10**9
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_rounded_as_docker_rounds(seconds: float, text: str) -> None:
    assert status.human_duration(int(seconds * SECOND)) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_ns=95 * SECOND), "Up 5 seconds"),
        (State(status=Status.PAUSED, started_ns=95 * SECOND), "Up 5 seconds (Paused)"),
        (State(status=Status.EXITED, exit_code=3, finished_ns=1), "Exited (3) About a minute ago"),
        (
            State(status=Status.RESTARTING, exit_code=3, finished_ns=99 * SECOND),
            "Restarting (3) 1 second ago",
        ),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (State(status=Status.DEAD), "Dead"),
    ],
)
def test_status_texts(state: State, text: str) -> None:
    assert status.describe(state, 100 * SECOND) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("9", 9),
        ("HUP", 1),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("64", 64),
    ],
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-1", "NOPE", "SIG", "RTMIN+40", "RTMINx", "9999"])
def test_unknown_signals(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid signal"):
        signals.parse(text)

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from knarr.api import timestamps
from knarr.errors import InvalidArgumentError

NOW = 1_700_000_000_123_456_789
S = timestamps.SECOND


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "TST-2")  # two hours east of UTC
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1136073845", 1136073845 * S),
        ("1136073845.5", 1136073845 * S + 500_000_000),
        ("1136073845.000000001", 1136073845 * S + 1),
        ("-5.5", -5_500_000_000),
        ("10m", 1_699_999_400 * S),
        ("1h30m", 1_699_994_600 * S),
        ("1.5s", 1_699_999_998 * S),
        ("2006-01-02T15:04:05Z", 1136214245 * S),
        ("2006-01-02T15:04:05.000000007Z", 1136214245 * S + 7),
        ("2006-01-02T15:04:05+02:00", 1136207045 * S),
        ("2006-01-02T15:04:05.25-07:00", 1136239445 * S + 250_000_000),
        ("2006-01-02T15:04Z", 1136214240 * S),
        ("2006-01-02T15Z", 1136214000 * S),
        ("2006-01-02Z", 1136160000 * S),
        ("2006-01-02-01:00", 1136163600 * S),
        ("2006-01-02T15:04:05", 1136207045 * S),
        ("2006-01-02T15:04", 1136207040 * S),
        ("2006-01-02", 1136152800 * S),
    ],
)
def test_forms(elsewhere: None, text: str, expected: int) -> None:
    assert timestamps.parse(text, now=NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "",
        "1.2.3",
        "12 m",
        "1m2",
        "2006-13-01",
        "2006-01-02T25",
        "5.x",
        "1e3",
        "2006-1-2",
        "99999999999999999999",
        "9" * 5000,
        "1." + "9" * 5000,
        "2006-01-02T15:04:05." + "9" * 5000 + "Z",
        "٣",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="failed to parse value as time or duration"):
        timestamps.parse(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", S),
        ("-1m", -60 * S),
        ("300ms", 300_000_000),
        ("1h2m3.5s", 3723 * S + S // 2),
        ("1us2ns", 1002),
        (".5s", S // 2),
        ("0", 0),
        ("5", None),
        ("", None),
        ("s", None),
        (".s", None),
        ("1d", None),
        ("9999999999999h", None),
        ("9" * 5000 + "s", None),
        ("1." + "9" * 5000 + "s", None),
    ],
)
def test_durations(text: str, expected: int | None) -> None:
    assert timestamps.find_duration(text) == expected


def test_printing() -> None:
    assert timestamps.rfc3339(1136214245 * S) == "2006-01-02T15:04:05Z"
    assert timestamps.rfc3339(1136214245 * S + 900_000_000) == "2006-01-02T15:04:05.9Z"
    assert timestamps.rfc3339_fixed(1136214245 * S + 7) == "2006-01-02T15:04:05.000000007Z"
    assert timestamps.unix(1136214245 * S + 7) == "1136214245.000000007"


def test_round_trip() -> None:
    assert timestamps.parse(timestamps.rfc3339(NOW), now=0) == NOW
    assert timestamps.parse(timestamps.unix(NOW), now=0) == NOW

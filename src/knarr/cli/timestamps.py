"""Moments: reading the engine's, writing them as docker does, and what ``--since`` takes.

No ``datetime`` here: it costs more than a short command may.
Sources: RFC 3339; docker's ``GetTimestamp``; days from civil after H. Hinnant.
"""

from __future__ import annotations

import time

from knarr.cli.command import CommandError
from knarr.cli.flags import BadValueError
from knarr.cli.quantities import duration

_DAY = 86400


def days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def parse(text: str) -> tuple[int, int]:
    """Seconds and nanoseconds since 1970 of an RFC 3339 moment.

    Errors: ``ValueError``.
    """
    date, _, rest = text.partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    clock, offset = _split_zone(rest)
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    nanoseconds = int((fraction or "0")[:9].ljust(9, "0"))
    seconds = days(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - offset
    return seconds, nanoseconds


def _split_zone(text: str) -> tuple[str, int]:
    """The clock, and the seconds it is ahead of UTC."""
    if text.endswith(("Z", "z")):
        return text[:-1], 0
    at = max(text.rfind("+"), text.rfind("-"))
    if at < 0:
        raise ValueError(text)
    hours, _, minutes = text[at + 1 :].partition(":")
    offset = int(hours) * 3600 + int(minutes or "0") * 60
    return text[:at], -offset if text[at] == "-" else offset


def zoned(seconds: int) -> str:
    """``2024-01-31 12:00:00 +0100 CET``: local time, as Go prints a moment."""
    local = time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S %z ", local) + local.tm_zone


def zoned_fraction(text: str) -> str:
    """An RFC 3339 moment with its fraction and zone, as Go's ``Time.String``: in its own zone."""
    seconds, nanoseconds = parse(text)
    utc = time.gmtime(seconds)
    moment = f"{utc.tm_year:04}" + time.strftime("-%m-%d %H:%M:%S", utc)
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    return f"{moment}{fraction} +0000 UTC"


def clock(text: str) -> str:
    """``Thu May  7 21:09:36 2026`` for an RFC 3339 moment in UTC; another text stays as it is."""
    try:
        return time.asctime(time.gmtime(parse(text)[0]))
    except ValueError:
        return text


def local_iso(seconds: int, nanoseconds: int = 0, *, fraction: bool = False) -> str:
    """``2024-01-31T12:00:00+01:00``; with ``fraction``, nine digits of it."""
    local = time.localtime(seconds)
    zone = "Z" if local.tm_gmtoff == 0 else _zone(local.tm_gmtoff)
    digits = f".{nanoseconds:09}" if fraction else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + digits + zone


def _zone(offset: int) -> str:
    sign = "-" if offset < 0 else "+"
    return f"{sign}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}"


def query_value(text: str, option: str) -> str:
    """What ``--since`` and ``--until`` take, as the engine takes it: seconds, maybe a fraction.

    A duration counts back from now; a moment may lack its time or its zone (then: local).
    Errors: ``CommandError``.
    """
    whole, _, fraction = text.partition(".")
    if whole.isdecimal() and (not fraction or fraction.isdecimal()):
        return text
    try:
        moment = time.time_ns() - duration(text)
        return f"{moment // 10**9}.{moment % 10**9:09}"
    except BadValueError:
        pass
    try:
        return _from_moment(text)
    except ValueError:
        raise CommandError(
            f'invalid value for "{option}": failed to parse value as time or duration: "{text}"'
        ) from None


def _from_moment(text: str) -> str:
    date, clock = text[:10], text[10:]
    if clock.startswith("T"):
        clock, zone = _clock_and_zone(clock[1:])
        parts = [*clock.split(":"), "00", "00"][:3]
        lengths = [len(part.partition(".")[0]) for part in parts]
        if clock.count(":") > 2 or lengths[0] not in (1, 2) or lengths[1:] != [2, 2]:
            raise ValueError(text)
        clock = ":".join(parts)
    else:
        clock, zone = "00:00:00", clock
    seconds, nanoseconds = parse(f"{date}T{clock}{zone or 'Z'}")
    if date != time.strftime("%Y-%m-%d", time.gmtime(parse(f"{date}T00:00:00Z")[0])):
        raise ValueError(text)  # there is no such day
    if not zone:
        seconds = _local_to_utc(seconds)
    return f"{seconds}.{nanoseconds:09}"


def _clock_and_zone(text: str) -> tuple[str, str]:
    for position, character in enumerate(text):
        if character in "Zz+-":
            return text[:position], text[position:]
    return text, ""


def _local_to_utc(seconds: int) -> int:
    """The moment when a clock here shows what one in UTC shows at ``seconds``."""
    shown = time.gmtime(seconds)
    return int(time.mktime((*shown[:8], -1)))

"""Docker's forms of a moment: ``--since``, ``--until`` and what is printed.

Law: moments are Unix nanoseconds (int). A text is one of: Unix seconds with up to nine digits of
fraction (``1136073845.000000001``); a Go duration (``10m``, ``1h30m``, ``1.5s``), which counts back
from now; a date or time of RFC 3339, which is local time when it names no zone, and may stop at
the day, hour, minute or second.

Only the standard library: the command line imports this.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import gmtime

from knarr.errors import InvalidArgumentError

SECOND = 1_000_000_000

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_LARGEST = (1 << 63) - 1
_DIGITS = len(str(_LARGEST))


def parse(text: str, *, now: int) -> int:
    """The moment that ``text`` names; ``now`` is what durations count back from.

    Raises ``InvalidArgumentError``. A duration loses its fraction of a second, as in Docker.
    """
    if text != "0" and (back := find_duration(text)) is not None:
        return (now - back) // SECOND * SECOND
    moment = _rfc3339(text) if "-" in text[1:] else _unix(text)
    if moment is None or abs(moment) > _LARGEST:
        raise InvalidArgumentError(f'failed to parse value as time or duration: "{text}"')
    return moment


def find_duration(text: str) -> int | None:
    """Nanoseconds of a Go duration (``-1h2m3.5s``), or None if it is not one."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = 0
    while rest:
        number, rest = _leading(rest, "0123456789.")
        unit, rest = _leading(rest, "nu\u00b5\u03bcmsh")
        scale = _UNITS.get(unit)
        whole, _, fraction = number.partition(".")
        if scale is None or not _is_number(whole or "0") or not _is_number(fraction or "0"):
            return None
        if not whole and not fraction:
            return None
        total += int(whole or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
    return sign * total if text and total <= _LARGEST else None


def duration_text(nanoseconds: int) -> str:
    """``1h2m3.5s``, ``700ms``: as Go prints a duration that is not negative."""
    for unit, scale in (("ns", 1), ("\u00b5s", 1_000), ("ms", 1_000_000)):
        if nanoseconds < scale * 1000:
            return _decimal(nanoseconds, scale) + unit if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, 60 * SECOND)
    text = _decimal(rest, SECOND) + "s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    return f"{minutes // 60}h{text}" if minutes >= 60 else text


def _decimal(number: int, scale: int) -> str:
    whole, fraction = divmod(number, scale)
    digits = f"{fraction:0{len(str(scale)) - 1}}".rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


def rfc3339(moment: int) -> str:
    """``2006-01-02T15:04:05.9Z``: UTC, without trailing zeros, as Go prints RFC3339Nano."""
    text = rfc3339_fixed(moment)[:-1].rstrip("0").rstrip(".")
    return text + "Z"


def rfc3339_fixed(moment: int) -> str:
    """``2006-01-02T15:04:05.900000000Z``: UTC with all nine digits, as in log lines."""
    seconds, fraction = divmod(moment, SECOND)
    when = gmtime(seconds)
    day = f"{when.tm_year:04}-{when.tm_mon:02}-{when.tm_mday:02}"
    return f"{day}T{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}.{fraction:09}Z"


def unix(moment: int) -> str:
    """``1136073845.000000001``, as a client sends it."""
    seconds, fraction = divmod(moment, SECOND)
    return f"{seconds}.{fraction:09}"


def _unix(text: str) -> int | None:
    seconds, _, fraction = text.partition(".")
    digits = seconds.removeprefix("-")
    if not _is_number(digits) or (fraction and not _is_number(fraction)) or len(fraction) > 9:
        return None
    nanoseconds = int(digits) * SECOND + int(fraction.ljust(9, "0"))
    return -nanoseconds if seconds.startswith("-") else nanoseconds


def _rfc3339(text: str) -> int | None:
    base, zone = _split_zone(text)
    whole, _, fraction = base.partition(".")
    date, has_time, clock = whole.partition("T")
    parts = clock.split(":") if has_time else []
    if (fraction and (not _is_number(fraction) or len(parts) != 3)) or len(parts) > 3:
        return None
    full = date + "T" + ":".join([*parts, *["00"] * (3 - len(parts))])
    if len(full) != len("2006-01-02T15:04:05"):
        return None
    try:
        when = datetime.fromisoformat(full).replace(tzinfo=None if zone is None else UTC)
        seconds = (when - timedelta(seconds=zone or 0)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return int(seconds) * SECOND + int(fraction[:9].ljust(9, "0"))


def _split_zone(text: str) -> tuple[str, int | None]:
    """The text before the zone, and the zone's seconds east of UTC; None is local time."""
    if text[-1] in "zZ":
        return text[:-1], 0
    sign, clock = text[-6:-5], text[-5:]
    if sign not in ("+", "-") or (sign == "-" and text.count("-") != 3):
        return text, None
    hours, colon, minutes = clock.partition(":")
    if not colon or not _is_number(hours + minutes):
        return text, None
    offset = int(hours) * 3600 + int(minutes) * 60
    return text[:-6], offset if sign == "+" else -offset


def _is_number(text: str) -> bool:
    return len(text) <= _DIGITS and text.isascii() and text.isdigit()


def _leading(text: str, allowed: str) -> tuple[str, str]:
    rest = text.lstrip(allowed)
    return text[: len(text) - len(rest)], rest

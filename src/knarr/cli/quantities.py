"""Sizes, durations and numbers as people write and read them, exactly as docker does.

Sources: docker/go-units (sizes in 1000 for disks, in 1024 for memory), Go's ``time.ParseDuration``.
"""

from __future__ import annotations

from knarr.cli.flags import BadValueError

_BINARY = "kmgtp"
_DECIMAL_NAMES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY_NAMES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def memory(text: str) -> int:
    """Bytes, in units of 1024 (``64m``, ``1.5g``, ``10 KiB``); ``BadValueError``."""
    at = max(text.rfind(character) for character in "0123456789. ")
    if at < 0:
        raise BadValueError(f"invalid size: '{text}'")
    number = text[:at] if text[at] == " " else text[: at + 1]
    suffix = text[at + 1 :].lower()
    try:
        size = float(number)
    except ValueError:
        raise BadValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if size < 0:
        raise BadValueError(f"invalid size: '{text}'")
    if suffix in ("", "b"):
        return int(size)
    power = _BINARY.find(suffix[0]) + 1
    if not power or suffix[1:] not in ("", "b", "ib"):
        raise BadValueError(f"invalid suffix: '{suffix}'")
    return int(size * float(1 << 10 * power))


def swap(text: str) -> int:
    """Bytes as ``memory``, or ``-1`` for no limit; ``BadValueError``."""
    return -1 if text == "-1" else memory(text)


def nano_cpus(text: str) -> int:
    """CPUs in units of 10**-9 (``1.5``, ``3/4``); ``BadValueError``."""
    over, slash, under = text.partition("/")
    whole, _, fraction = over.partition(".")
    sign = whole[:1] if whole[:1] in ("-", "+") else ""
    digits = whole[len(sign) :] + fraction
    if not digits.isdecimal() or (slash and not (under.isdecimal() and int(under))):
        raise BadValueError(f"failed to parse {text} as a rational number")
    scale: int = int(under or "1") * 10 ** len(fraction)
    value, left = divmod(int(sign + digits) * 10**9, scale)
    if left:
        raise BadValueError("value is too precise")
    return value


def duration(text: str) -> int:
    """Nanoseconds of ``1h2m3.5s``; ``BadValueError``."""
    sign, left = 1, text
    if left[:1] in ("-", "+"):
        sign = -1 if left[0] == "-" else 1
        left = left[1:]
    if left == "0":
        return 0
    if not left:
        raise BadValueError(f'time: invalid duration "{text}"')
    total = 0
    while left:
        digits = left[: len(left) - len(left.lstrip("0123456789."))]
        left = left[len(digits) :]
        unit = left[: len(left) - len(left.lstrip("nu\u00b5\u03bcmsh"))] if digits else ""
        unit = _longest_unit(left) if unit else ""
        whole, _, fraction = digits.partition(".")
        if not (whole + fraction).isdecimal():
            raise BadValueError(f'time: invalid duration "{text}"')
        if not unit:
            problem = f'unknown unit "{left}"' if left else "missing unit"
            raise BadValueError(f'time: {problem} in duration "{text}"')
        left = left[len(unit) :]
        scale = _NANOSECONDS[unit]
        total += int(whole or "0") * scale
        total += int(fraction) * scale // 10 ** len(fraction) if fraction else 0
    return sign * total


def _longest_unit(text: str) -> str:
    for length in (2, 1):
        if text[:length] in _NANOSECONDS:
            return text[:length]
    return ""


def significant(value: float, digits: int = 4) -> str:
    """A number with at most ``digits`` significant digits, as C's ``%.4g``."""
    return f"{value:.{digits}g}"


def human_size(size: float, digits: int = 4) -> str:
    """Bytes in units of 1000: ``4.26MB``."""
    return _human(size, 1000.0, _DECIMAL_NAMES, digits)


def human_size3(size: float) -> str:
    """Bytes in units of 1000 with three digits, as tables show them."""
    return _human(size, 1000.0, _DECIMAL_NAMES, 3)


def human_memory(size: float) -> str:
    """Bytes in units of 1024: ``7.75GiB``."""
    return _human(size, 1024.0, _BINARY_NAMES, 4)


def _human(size: float, base: float, names: tuple[str, ...], digits: int) -> str:
    place = 0
    while size >= base and place < len(names) - 1:
        size /= base
        place += 1
    return significant(size, digits) + names[place]


def human_duration(seconds: int) -> str:
    """Whole seconds as a person says them: ``About a minute``, ``3 weeks``."""
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if seconds < 120:
        return "About a minute"
    if seconds < 3600:
        return f"{seconds // 60} minutes"
    return _human_hours(int(seconds / 3600 + 0.5))


def _human_hours(hours: int) -> str:
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"

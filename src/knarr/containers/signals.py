"""Signals by name or number, as ``--stop-signal`` and ``kill -s`` take them."""

from __future__ import annotations

import signal

from knarr.errors import InvalidArgumentError

HIGHEST = 64
#: What the C library leaves of the real-time signals; their offsets are written RTMIN+n.
_RTMIN, _RTMAX = 34, 64


def parse(text: str) -> int:
    """The number of ``text``: ``TERM``, ``SIGTERM``, ``sigterm``, ``15``, ``RTMIN+3``.

    Raises ``InvalidArgumentError`` for anything else.
    """
    number = _number(text.strip())
    if not 1 <= number <= HIGHEST:
        raise InvalidArgumentError(f"invalid signal: {text}")
    return number


def _number(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text) if len(text) < 4 else 0
    name = text.upper().removeprefix("SIG")
    for base, sign, start in (("RTMIN", "+", _RTMIN), ("RTMAX", "-", _RTMAX)):
        if name.startswith(base):
            offset = name.removeprefix(base).removeprefix(sign) or "0"
            if not offset.isdecimal() or len(offset) > 2:
                return 0
            number = start + int(offset) if sign == "+" else start - int(offset)
            return number if _RTMIN <= number <= _RTMAX else 0
    found = signal.Signals.__members__.get(f"SIG{name}")
    return found.value if found is not None else 0

"""What a registry wants as proof: the ``WWW-Authenticate`` header.

Source: RFC 9110, sections 5.6 and 11.3 (challenges, tokens, quoted strings).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONGEST = 8192
_MOST = 16
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the RFC's word, not a secret
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,|$))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_BETWEEN = re.compile(r"[ \t,]*")


class Challenge(NamedTuple):
    """A scheme in lower case, and its parameters by name in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse(values: Iterable[str]) -> list[Challenge]:
    """The challenges of all such headers; what cannot be read ends the header it is in."""
    found: list[Challenge] = []
    for value in values:
        if len(value) <= _LONGEST:
            found += _challenges(value)
    return found[:_MOST]


def _challenges(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _after(_BETWEEN, text, 0)
    while position < len(text):
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            break
        parameters: dict[str, str] = {}
        position = scheme.end()
        if _PARAMETER.match(text, position) is None:
            position = _after(_TOKEN68, text, position)
        while (match := _PARAMETER.match(text, position)) is not None:
            quoted = re.sub(r"\\(.)", r"\1", match[3] or "")
            parameters.setdefault(match[1].lower(), match[2] or quoted)
            position = _after(_BETWEEN, text, match.end())
        found.append(Challenge(scheme[1].lower(), parameters))
        position = _after(_BETWEEN, text, position)
    return found


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position

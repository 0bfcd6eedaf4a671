"""Patterns for references: the ``reference=`` filter of image lists.

Law: as ``FamiliarMatch`` of ``distribution/reference``: a shell pattern of Go's ``path.Match``
(``*`` and ``?`` stop at ``/``) against the short form with tag or digest, then against the short
name alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from knarr.oci.reference import Reference

_SYNTAX = "syntax error in pattern"


def familiar_match(pattern: str, name: Reference) -> bool:
    """Whether ``name`` fits; raises InvalidArgumentError for a malformed pattern."""
    compiled = _compile(pattern)
    return any(compiled.fullmatch(form) for form in (name.familiar(), name.familiar_name))


@lru_cache(maxsize=64)
def _compile(pattern: str) -> re.Pattern[str]:
    """``path.Match``'s grammar as a regular expression."""
    pieces: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            pieces.append("[^/]*")
        elif character == "?":
            pieces.append("[^/]")
        elif character == "[":
            piece, position = _class(pattern, position)
            pieces.append(piece)
        elif character == "\\":
            if position == len(pattern):
                raise InvalidArgumentError(_SYNTAX)
            pieces.append(re.escape(pattern[position]))
            position += 1
        else:
            pieces.append(re.escape(character))
    return re.compile("".join(pieces), re.DOTALL)


def _class(pattern: str, position: int) -> tuple[str, int]:
    """A character class from behind its bracket: its expression, and where it ends."""
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[str] = []
    while pattern[position : position + 1] != "]" or not ranges:
        low, position = _class_character(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _class_character(pattern, position + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")  # Go: a range upside down fits nothing
    inside = "".join(ranges)
    if not inside:
        return ("[^/]" if negated else "(?!)"), position + 1
    return (f"[^/{inside}]" if negated else f"[{inside}]"), position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character in {"", "-", "]"}:
        raise InvalidArgumentError(_SYNTAX)
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
        if not character:
            raise InvalidArgumentError(_SYNTAX)
    return character, position + 1

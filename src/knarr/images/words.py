"""Words of a Dockerfile instruction: quotes, escapes and variables.

Source: Dockerfile reference, "Environment replacement": ``$name``, ``${name}``,
``${name:-word}``, ``${name:+word}``; single quotes keep everything, a backslash the next character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<how>[-+])(?P<word>[^}]*))?\})"
)
_KEPT_IN_DOUBLE_QUOTES = '"$\\'


def split(text: str, variables: Mapping[str, str]) -> list[str]:
    """The words of ``text``, expanded; raises InvalidArgumentError for an open quote."""
    return [word for word in _lex(text, variables, breaks=True) if word is not None]


def process(text: str, variables: Mapping[str, str]) -> str:
    """``text`` as one word, expanded."""
    return "".join(word for word in _lex(text, variables, breaks=False) if word is not None)


def _lex(text: str, variables: Mapping[str, str], *, breaks: bool) -> list[str | None]:
    words: list[str | None] = [None]
    position = 0
    while position < len(text):
        character = text[position]
        if breaks and character.isspace():
            if words[-1] is not None:
                words.append(None)
            position += 1
            continue
        if character == "'":
            end = _closing(text, position, "'")
            piece = text[position + 1 : end]
            position = end + 1
        elif character == '"':
            piece, position = _double_quoted(text, position, variables)
        elif character == "\\" and position + 1 < len(text):
            piece = text[position + 1]
            position += 2
        else:
            piece, position = _plain(text, position, variables)
        words[-1] = (words[-1] or "") + piece
    return words


def _double_quoted(text: str, position: int, variables: Mapping[str, str]) -> tuple[str, int]:
    pieces: list[str] = []
    position += 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\" and text[position + 1 : position + 2] in tuple(
            _KEPT_IN_DOUBLE_QUOTES
        ):
            pieces.append(text[position + 1])
            position += 2
            continue
        piece, position = _plain(text, position, variables)
        pieces.append(piece)
    if position == len(text):
        raise _unclosed("double")
    return "".join(pieces), position + 1


def _plain(text: str, position: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """One character, or one variable."""
    match = _VARIABLE.match(text, position)
    if match is None:
        return text[position], position + 1
    value = variables.get(match["plain"] or match["braced"], "")
    if match["how"] == "-" and not value:
        value = match["word"]
    elif match["how"] == "+":
        value = match["word"] if value else ""
    return value, match.end()


def _closing(text: str, position: int, quote: str) -> int:
    end = text.find(quote, position + 1)
    if end < 0:
        raise _unclosed("single")
    return end


def _unclosed(kind: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"unexpected end of statement while looking for matching {kind}-quote"
    )

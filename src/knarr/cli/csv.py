"""One record of comma-separated values, as flags with several parts use it (RFC 4180)."""

from __future__ import annotations

from knarr.cli.flags import BadValueError


def fields(text: str) -> list[str]:
    """The fields; a field in double quotes may hold commas, and quotes doubled.

    Errors: ``BadValueError`` for a quote in the wrong place or a missing one, or an empty text.
    """
    if not text:
        raise BadValueError("EOF")
    if '"' not in text:
        return text.split(",")
    found = []
    position = 0
    while position <= len(text):
        if text[position : position + 1] == '"':
            field, position = _quoted(text, position + 1)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field = text[position:end]
            if '"' in field:
                column = position + field.index('"') + 1
                raise _damaged(column, 'bare " in non-quoted-field')
            position = end
        found.append(field)
        position += 1
    return found


def _quoted(text: str, position: int) -> tuple[str, int]:
    """A field after its opening quote; the field and where the comma behind it is."""
    field = ""
    while True:
        end = text.find('"', position)
        if end < 0:
            raise _damaged(len(text) + 1, 'extraneous or missing " in quoted-field')
        field += text[position:end]
        following = text[end + 1 : end + 2]
        if following == '"':
            field += '"'
            position = end + 2
        elif following in ("", ","):
            return field, end + 1
        else:
            raise _damaged(end + 1, 'extraneous or missing " in quoted-field')


def _damaged(column: int, problem: str) -> BadValueError:
    return BadValueError(f"parse error on line 1, column {column}: {problem}")

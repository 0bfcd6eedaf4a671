"""Cuts a template into text and actions, and an action into tokens."""

from __future__ import annotations

from knarr.cli.template.errors import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Token = tuple[str, str, int]
    """Kind, text, column in the template."""

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "0": "\0"}


def pieces(text: str, name: str) -> Iterator[tuple[bool, str, int]]:
    """Text and actions in order: whether it is an action, its text, where it begins.

    Errors: ``TemplateError`` for an action without an end.
    """
    position = 0
    trim = False
    while True:
        start = text.find("{{", position)
        plain = text[position:] if start < 0 else text[position:start]
        if trim:
            plain = plain.lstrip(_SPACE)
        if start < 0:
            yield False, plain, position
            return
        inside = start + 2
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in tuple(_SPACE):
            plain = plain.rstrip(_SPACE)
            inside += 1
        yield False, plain, position
        end = _end_of_action(text, inside, name)
        action = text[inside:end]
        trim = action.endswith("-") and action[-2:-1] in tuple(_SPACE)
        yield True, action[:-1] if trim else action, inside
        position = end + 2


def _end_of_action(text: str, position: int, name: str) -> int:
    """Where the ``}}`` is; quoted text and comments may hold one."""
    while position < len(text):
        if text.startswith("}}", position):
            return position
        if text.startswith("/*", position):
            position = text.find("*/", position)
            if position < 0:
                break
            position += 2
        elif text[position] in "\"'`":
            position = _end_of_quote(text, position, name)
        else:
            position += 1
    raise TemplateError(f"template: {name}:1: unclosed action")


def _end_of_quote(text: str, position: int, name: str) -> int:
    quote = text[position]
    position += 1
    while position < len(text):
        if text[position] == "\\" and quote != "`":
            position += 1
        elif text[position] == quote:
            return position + 1
        position += 1
    raise TemplateError(f"template: {name}:1: unterminated quoted string")


def tokens(action: str, offset: int, name: str) -> list[Token]:
    """The tokens of an action. ``field`` and ``variable`` include their first character."""
    found: list[Token] = []
    position = 0
    while position < len(action):
        character = action[position]
        column = offset + position
        if character in _SPACE:
            found.append(("space", " ", column))
            position += 1
            continue
        if action.startswith("/*", position):
            position = action.index("*/", position) + 2
            continue
        kind, end = _next(action, position, name)
        found.append((kind, action[position:end], column))
        position = end
    return found


def _next(action: str, start: int, name: str) -> tuple[str, int]:
    """The kind of the token at ``start`` and where it ends."""
    character = action[start]
    if character in "\"`'":
        return "text", _end_of_quote(action, start, name)
    if action.startswith(":=", start):
        return "define", start + 2
    if character in "|(),=":
        return character, start + 1
    return _name(action, start, name)


def _name(action: str, start: int, name: str) -> tuple[str, int]:
    """As ``_next``, for fields, variables, numbers and words."""
    character = action[start]
    end = start + 1
    while end < len(action) and (
        action[end] in _WORD or (_is_number(character) and action[end] == ".")
    ):
        end += 1
    if character == ".":
        return ("field", end) if end > start + 1 else ("dot", end)
    if character == "$":
        return "variable", end
    if _is_number(character) and (character.isdigit() or end > start + 1):
        return "number", end
    if character in _WORD:
        return "word", end
    raise TemplateError(f"template: {name}:1: unexpected {character!r} in command")


def _is_number(character: str) -> bool:
    return character.isdigit() or character in "+-"


def unquote(token: str) -> str:
    """The value of a quoted text."""
    body = token[1:-1]
    if token[0] == "`" or "\\" not in body:
        return body
    parts = []
    position = 0
    while position < len(body):
        character = body[position]
        position += 1
        if character == "\\" and position < len(body):
            character = _ESCAPES.get(body[position], body[position])
            position += 1
        parts.append(character)
    return "".join(parts)

"""JSON text laid out for people, without a change to its numbers, its strings or their order."""

from __future__ import annotations


def indent(text: str, step: str = "    ") -> str:
    """One value a line, as Go's ``json.Indent``; the text must be valid JSON."""
    out: list[str] = []
    depth = 0
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            end = _end_of_string(text, position)
            out.append(text[position:end])
            position = end
            continue
        position += 1
        if character in " \t\r\n":
            continue
        if character in "{[":
            following = _next(text, position)
            if text[following : following + 1] in ("}", "]"):
                out.append(character + text[following])
                position = following + 1
                continue
            depth += 1
            out.append(f"{character}\n{step * depth}")
        elif character in "}]":
            depth -= 1
            out.append(f"\n{step * depth}{character}")
        elif character == ",":
            out.append(f",\n{step * depth}")
        else:
            out.append(": " if character == ":" else character)
    return "".join(out)


def _end_of_string(text: str, position: int) -> int:
    position += 1
    while True:
        quote = text.index('"', position)
        backslashes = 0
        while text[quote - 1 - backslashes] == "\\":
            backslashes += 1
        if backslashes % 2 == 0:
            return quote + 1
        position = quote + 1


def _next(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\r", "\n"):
        position += 1
    return position

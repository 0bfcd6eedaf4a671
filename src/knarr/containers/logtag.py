"""The template of a log tag: ``{{.Name}}/{{.ID}}`` and what else Docker's users write there.

There are the fields of ``Subject``, pipelines, parentheses, ``if``, ``with``, ``else``, comments,
trimmed space and the functions in ``FUNCTIONS``; no ``range`` and no variables: a tag is a word,
and without loops no template can take long. Text, result and nesting have limits.

Source: the documentation of Go's ``text/template``; moby ``daemon/logger/loginfo.go`` for fields.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LONGEST = 4096
_DEEPEST = 20
_NAME = "log-tag"
_CONSTANTS = {"true": True, "false": False, "nil": None}
_NOT_THERE = {"range", "define", "template", "block", "break", "continue"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<field>\.(?:\w+(?:\.\w+)*)?)|(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)"""
    r"""|(?P<number>-?\d{1,9}(?![\w.]))|(?P<word>[A-Za-z_]\w*)|(?P<mark>[()|]))"""
)


class _Stop(Exception):  # noqa: N818 - not an error: ``else`` or ``end`` of the part around
    def __init__(self, word: str, rest: str) -> None:
        self.word, self.rest = word, rest


def render(template: str, fields: Mapping[str, object], *, strict: bool = True) -> str:
    """The tag; raises ``InvalidArgumentError`` in Go's words.

    Not ``strict``, functions may fail: with fields that are only examples.
    """
    if "{{" not in template:
        return template[:LONGEST]
    if len(template) > LONGEST:
        raise _wrong("the template is too long")
    out: list[str] = []
    rest = _Run(template, strict=strict).text(out, fields, depth=0, wanted=True)
    if rest is not None:
        raise _wrong(f"unexpected {{{{{rest.word}}}}}")
    tag: str = _bounded("".join(out))
    return tag


class _Run:
    """One pass over the template: parts that do not apply are parsed and not written."""

    def __init__(self, template: str, *, strict: bool) -> None:
        self._pieces = _pieces(template)
        self._next = 0
        self._strict = strict

    def text(self, out: list[str], dot: object, *, depth: int, wanted: bool) -> _Stop | None:
        """Write until the end of the template, or the ``else`` or ``end`` that is not ours."""
        if depth > _DEEPEST:
            raise _wrong("nested too deeply")
        while self._next < len(self._pieces):
            literal, action = self._pieces[self._next]
            self._next += 1
            if wanted:
                out.append(literal)
            if action is None or (action.startswith("/*") and action.endswith("*/")):
                continue
            word, _, rest = action.partition(" ")
            if word in {"else", "end"}:
                return _Stop(word, rest.strip())
            if word in {"if", "with"}:
                self._branch(word, rest, out, dot, depth=depth, wanted=wanted)
            else:
                value = self._evaluate(action, dot, run=wanted)
                if wanted:
                    out.append(show(value))
        return None

    def _branch(
        self, word: str, condition: str, out: list[str], dot: object, *, depth: int, wanted: bool
    ) -> None:
        taken, otherwise = False, ""
        stop: _Stop | None = None
        while word:
            value = self._evaluate(condition, dot, run=wanted and not taken)
            here = wanted and not taken and bool(value)
            taken = taken or here
            inner = value if word == "with" and here else dot
            stop = self.text(out, inner, depth=depth + 1, wanted=here)
            otherwise = stop.rest if stop is not None and stop.word == "else" else ""
            word, _, condition = otherwise.partition(" ")
            if word not in {"", "if", "with"}:
                raise _wrong(f'unexpected "{word}" in else')
        if stop is not None and stop.word == "else":
            stop = self.text(out, dot, depth=depth + 1, wanted=wanted and not taken)
        if stop is None or stop.word != "end":
            raise _wrong("unexpected EOF")

    def _evaluate(self, text: str, dot: object, *, run: bool) -> Any:
        action = _Action(_tokens(text), dot, run=run, strict=self._strict)
        return action.value()


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """Pairs of text and the action behind it; None behind the last text."""
    pieces: list[tuple[str, str | None]] = []
    position, trim = 0, False
    while True:
        start = template.find("{{", position)
        literal = template[position:] if start < 0 else template[position:start]
        if trim:
            literal = literal.lstrip()
        if start < 0:
            return [*pieces, (literal, None)]
        stop = _end(template, start + 2)
        action = template[start + 2 : stop]
        if action.startswith("- "):
            literal, action = literal.rstrip(), action[2:]
        trim = action.endswith(" -")
        pieces.append((literal, action.removesuffix(" -").strip()))
        position = stop + 2


def _end(template: str, position: int) -> int:
    """Where the action ends: braces in quotes do not count."""
    quote = ""
    while position < len(template):
        character = template[position]
        if quote:
            if character == "\\" and quote == '"':
                position += 1
            elif character == quote:
                quote = ""
        elif character in '"`':
            quote = character
        elif template.startswith("}}", position):
            return position
        position += 1
    raise _wrong("unclosed action")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _wrong(f"unexpected {text[position:].split()[0]!r} in command")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


class _Action:
    """One action; takes its tokens away. Without ``run`` it is only parsed."""

    def __init__(
        self, tokens: list[tuple[str, str]], dot: object, *, run: bool, strict: bool
    ) -> None:
        self._tokens = tokens
        self._dot = dot
        self._run = run
        self._strict = strict

    def value(self) -> Any:
        """What it comes to."""
        if not self._tokens:
            raise _wrong("missing value for command")
        value = self._pipeline(depth=0)
        if self._tokens:
            raise _wrong(f'unexpected "{self._tokens[0][1]}" in operand')
        return value

    def _at(self, marks: str) -> bool:
        return bool(self._tokens) and self._tokens[0][0] == "mark" and self._tokens[0][1] in marks

    def _pipeline(self, *, depth: int) -> Any:
        """Commands up to a closing parenthesis or the end."""
        if depth > _DEEPEST:
            raise _wrong("nested too deeply")
        value = self._command((), depth)
        while self._at("|"):
            self._tokens.pop(0)
            value = self._command((value,), depth)
        return value

    def _command(self, further: tuple[object, ...], depth: int) -> Any:
        name = self._function()
        values: list[object] = []
        while self._tokens and not self._at("|)"):
            values.append(self._operand(depth))
        if not self._run:
            return ""
        if name:
            return self._call(name, (*values, *further))
        if len(values) != 1 or further:
            raise _wrong(
                "can't give argument to non-function" if values else "missing value for command"
            )
        return values[0]

    def _function(self) -> str:
        """The name that the command begins with, "" for a value."""
        if not self._tokens or self._tokens[0][0] != "word" or self._tokens[0][1] in _CONSTANTS:
            return ""
        name = self._tokens.pop(0)[1]
        if name in _NOT_THERE:
            raise _wrong(f"{{{{{name}}}}} is not supported")
        if name not in FUNCTIONS:
            raise _wrong(f'function "{name}" not defined')
        return name

    def _call(self, name: str, values: tuple[object, ...]) -> Any:
        try:
            return _bounded(FUNCTIONS[name](*values))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            if not self._strict:
                return ""
            raise _wrong(
                f'executing "{_NAME}" at <{name}>: error calling {name}: {error}'
            ) from None

    def _operand(self, depth: int) -> Any:
        kind, text = self._tokens.pop(0)
        if kind == "mark":
            value = self._pipeline(depth=depth + 1)
            if not self._at(")"):
                raise _wrong("unclosed left paren")
            self._tokens.pop(0)
            return value
        if kind == "field":
            return _field(text, self._dot) if self._run else ""
        if kind == "text":
            return _unquoted(text)
        if kind == "number":
            return int(text)
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        raise _wrong(f'function "{text}" not defined')


def _field(path: str, dot: object) -> object:
    value: object = dot
    for name in filter(None, path.split(".")):
        if not isinstance(value, dict) or name not in value:
            raise InvalidArgumentError(
                f'template: {_NAME}:1:2: executing "{_NAME}" at <{path}>: can\'t evaluate field '
                f"{name} in type {'*logger.Info' if value is dot else type(value).__name__}"
            )
        value = value[name]
    return value


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    try:
        found = json.loads(text)
    except ValueError:
        raise _wrong(f"invalid syntax: {text}") from None
    return str(found)


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, list)) and len(value) > LONGEST:
        raise _wrong("the result is too long")
    return value


def _wrong(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"template: {_NAME}:1: {what}")


def show(value: object) -> str:
    """A value as Go prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(map(show, value))}]"
    return str(value)


def _join(values: Sequence[str], separator: str) -> str:
    if len(values) * len(separator) > LONGEST:
        raise ValueError("the result is too long")
    return separator.join(values)


def _pad(text: str, before: int, after: int) -> str:
    if not (0 <= before <= LONGEST and 0 <= after <= LONGEST):
        raise ValueError("the result is too long")
    return " " * before + text + " " * after if text else text


def _printf(form: str, *values: object) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = left.pop(0)
        return json.dumps(show(value)) if match[0] == "%q" else show(value)

    return re.sub(r"%[%svdq]", one, form)


FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": lambda *values: next((each for each in values if not each), values[-1]),
    "eq": lambda first, *others: first in others,
    "index": lambda value, key: value.get(key, "") if isinstance(value, dict) else value[key],
    "join": _join,
    "json": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "len": len,
    "lower": lambda text: text.lower(),
    "ne": lambda a, b: a != b,
    "not": lambda value: not value,
    "or": lambda *values: next((each for each in values if each), values[-1]),
    "pad": _pad,
    "print": lambda *values: "".join(map(show, values)),
    "printf": _printf,
    "slice": lambda value, *bounds: (
        value[slice(*bounds)] if len(bounds) > 1 else value[bounds[0] :]
    ),
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "title": lambda text: text.title(),
    "truncate": lambda text, length: text[: max(0, length)],
    "upper": lambda text: text.upper(),
}

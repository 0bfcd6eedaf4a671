"""The functions that a template may call: Go's own and docker's."""

from __future__ import annotations

from knarr.cli.template.gotext import encode, inner, printf, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _index(value: Any, *keys: Any) -> object:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        else:
            if not 0 <= key < len(value):
                raise ValueError(f"index out of range: {key}")
            value = value[key]
    return value


def _slice(value: Any, *bounds: int) -> object:
    return value[slice(*bounds)] if len(bounds) > 1 else value[bounds[0] if bounds else 0 :]


def _print(*values: object) -> str:
    """Operands with a space between two of which neither is a text."""
    out = ""
    for position, value in enumerate(values):
        before = values[position - 1] if position else ""
        if position and not isinstance(value, str) and not isinstance(before, str):
            out += " "
        out += inner(value)
    return out


def _println(*values: object) -> str:
    return " ".join(inner(value) for value in values) + "\n"


def _printf(form: str, *values: object) -> str:
    return printf(form, values)


def _join(values: Any, separator: str) -> str:
    return separator.join(inner(value) for value in values or ())


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _equal(first: object, *others: object) -> bool:
    return any(first == other for other in others)


def _and(*values: object) -> object:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if truth(value)), values[-1])


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    return len(value or ())


FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": _and,
    "eq": _equal,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "index": _index,
    "join": _join,
    "json": encode,
    "le": lambda a, b: a <= b,
    "len": _length,
    "lower": lambda text: text.lower(),
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: a != b,
    "not": lambda value: not truth(value),
    "or": _or,
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "split": _split,
    "title": lambda text: text.title(),
    "truncate": _truncate,
    "upper": lambda text: text.upper(),
}

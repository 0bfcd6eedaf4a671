"""The functions that a template may call: Go's own and docker's."""

from __future__ import annotations

from knarr.cli.template.gotext import encode, inner, printf, truth, type_name
from knarr.cli.template.typed import NIL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _index(value: Any, *keys: Any) -> object:
    for key in keys:
        if value is None:
            raise ValueError("index of untyped nil")
        if isinstance(value, dict):
            value = value[key] if key in value else _nothing(value)
        elif not isinstance(key, int):
            raise TypeError(f"cannot index slice/array with type {type_name(key)}")
        elif not 0 <= key < len(value):
            raise ValueError(f"index out of range: {key}")
        else:
            value = value[key]
    return value


def _nothing(mapping: dict[str, object]) -> object:
    """What a mapping answers for a key that it has not: Go's zero of what it holds."""
    pointers = any(isinstance(each, dict) for each in mapping.values())
    return NIL if pointers else ""


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


def _call(value: object, *arguments: object) -> object:
    """There are no functions among the values."""
    del arguments
    raise TypeError(f"non-function of type {type_name(value)}")


def _html(*values: object) -> str:
    text = _print(*values).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&#34;").replace("'", "&#39;")


def _js(*values: object) -> str:
    return "".join(_JS.get(character, character) for character in _print(*values))


_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def _urlquery(*values: object) -> str:
    quoted = (
        chr(byte) if chr(byte) in _UNRESERVED else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in _print(*values).encode("utf-8", "surrogateescape")
    )
    return "".join(quoted)


FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": _and,
    "call": _call,
    "eq": _equal,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "html": _html,
    "index": _index,
    "join": _join,
    "js": _js,
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
    "urlquery": _urlquery,
}

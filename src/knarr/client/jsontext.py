"""JSON text to Python values and back, without the cost of importing the ``json`` package.

``json`` imports ``re`` and with it ``enum``; its two C functions, in ``_json``, need neither.
"""

from __future__ import annotations

from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, NoReturn

_SPACE = " \t\n\r"


class _Context:
    """What the C scanner asks of a decoder: plain JSON, nothing hooked."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> NoReturn:
        """Refuse ``NaN`` and ``Infinity``: the engine never sends them."""
        raise ValueError(f"{name} is not JSON")


_plain: Any = _Context


def loads(text: str | bytes) -> Any:
    """Decode exactly one JSON document.

    Errors: ``ValueError`` if it is damaged, missing, or followed by something else.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    start = 0
    while start < len(text) and text[start] in _SPACE:
        start += 1
    try:
        value, end = make_scanner(_plain)(text, start)
    except StopIteration as stop:
        raise ValueError(f"no JSON value at {stop.value}") from None
    if text[end:].strip(_SPACE):
        raise ValueError(f"extra data after a JSON document at {end}")
    return value


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: object, *, ascii_only: bool = True, sort_keys: bool = False) -> str:
    """Encode a value compactly; strings keep their characters unless ``ascii_only``."""
    quote = encode_basestring_ascii if ascii_only else encode_basestring
    encode = make_encoder({}, _refuse, quote, None, ":", ",", sort_keys, False, False)  # noqa: FBT003 (C)
    return "".join(encode(value, 0))


def documents(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The documents of a stream such as events or progress, each as soon as its line is complete.

    Source: the Engine API sends one document per line.
    """
    left = b""
    for chunk in chunks:
        *lines, left = (left + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield loads(line)
    if left.strip():
        yield loads(left)

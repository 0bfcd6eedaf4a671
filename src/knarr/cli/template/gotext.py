"""How Go's templates print a value (``fmt`` with ``%v``), and which values count as true."""

from __future__ import annotations

from knarr.client import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NO_VALUE = "<no value>"


def show(value: object) -> str:
    """A value as an action prints it."""
    return NO_VALUE if value is None else inner(value)


def inner(value: object) -> str:
    """A value as it is printed within another."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if shown := getattr(value, "shown", None):
        return str(shown())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    return _collection(value)


def _collection(value: object) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{inner(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(inner(each) for each in value) + "]"
    whole = getattr(value, "plain", None)
    return inner(whole()) if whole else str(value)


def number(value: float) -> str:
    """A float as ``%v``: the shortest digits, an exponent below -4 and from 21 on."""
    text = repr(value)
    mantissa, found, exponent = text.partition("e")
    if not found:
        return text.removesuffix(".0")
    if 0 <= int(exponent) < 21:
        return str(int(value))
    return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:]:0>2}"


def encode(value: object) -> str:
    """A value as JSON text, the keys of rows in order."""
    text = jsontext.dumps(plain(value), ascii_only=False)
    if not hasattr(value, "is_row"):
        return text
    # A row encodes itself, and then Go is careful about HTML.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def plain(value: object) -> object:
    """A value with everything in it made a JSON value."""
    whole = getattr(value, "plain", None)
    if whole:
        return plain(whole())
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def truth(value: object) -> bool:
    """Whether ``if`` takes it for true: not empty, not zero."""
    return bool(value) or hasattr(value, "is_row")


_MAP = "map[string]interface {}"
_TYPES = {
    bool: "bool",
    float: "float64",
    int: "int",
    list: "[]interface {}",
    str: "string",
    type(None): "<nil>",
}


def type_name(value: object) -> str:
    """Go's name of a value's type."""
    return next((name for kind, name in _TYPES.items() if isinstance(value, kind)), _MAP)


_VERBS: dict[str, Callable[[object], str]] = {
    "v": inner,
    "s": inner,
    "t": inner,
    "T": type_name,
    "q": lambda value: jsontext.dumps(inner(value), ascii_only=False),
}


def printf(form: str, values: tuple[object, ...]) -> str:
    """``printf``: the verbs v, s, q, d, t, T, f, e, g, x, X, o, b, c, and flags."""
    out = []
    left = list(values)
    position = 0
    while position < len(form):
        at = form.find("%", position)
        if at < 0:
            out.append(form[position:])
            break
        out.append(form[position:at])
        end = at + 1
        while end < len(form) and form[end] in "+-# 0123456789.":
            end += 1
        verb = form[end : end + 1]
        position = end + 1
        if verb == "%":
            out.append("%")
        elif not left:
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_format(form[at + 1 : end], verb, left.pop(0)))
    if left:
        out.append("%!(EXTRA " + ", ".join(f"{inner(value)}" for value in left) + ")")
    return "".join(out)


def _format(flags: str, verb: str, value: object) -> str:
    if verb in _VERBS:
        return f"%{flags.replace('0', '') if flags.startswith('0') else flags}s" % _VERBS[verb](
            value
        )
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "dxXoc" and isinstance(value, int) and numeric:
        return f"%{flags}{verb}" % value
    if verb in "feEgG" and numeric:
        return f"%{flags}{verb}" % value
    if verb == "b" and isinstance(value, int) and numeric:
        return f"{value:b}"
    if verb in "xX" and isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").hex()
        return text.upper() if verb == "X" else text
    return f"%!{verb}({type(value).__name__}={inner(value)})"

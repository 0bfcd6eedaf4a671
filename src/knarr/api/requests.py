"""Decoding JSON bodies of requests as leniently as Go does, and no more.

Law: a well-typed body decodes in one pass. Where that fails, the two things that Docker's Go
structs accept and strict decoding does not are repaired, guided by the type: ``null`` for a value
that cannot be null means its zero value, and a single string for a list of strings is a list of
one (``"Cmd": "ls"``). What still does not fit is an ``InvalidArgumentError`` that begins like
Docker's.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from knarr.errors import InvalidArgumentError

T = TypeVar("T")

# With every digit a 0, a long number is found without a regular expression, which takes longer than
# the decoding.
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


def decode(kind: type[T], body: bytes) -> T:
    """The message in ``body``. Raises ``InvalidArgumentError``."""
    if not body.strip():
        raise InvalidArgumentError("invalid JSON: got EOF while reading request body")
    try:
        if _LONG_NUMBER in body.translate(_ZEROS):
            _check_numbers(msgspec.json.decode(body))
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid JSON: {_lower(error)}") from error
    try:
        value = _repaired(msgspec.json.decode(body), msgspec.inspect.type_info(kind))
        return msgspec.convert(value, kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"invalid JSON: {_lower(error)}") from error


def _check_numbers(value: object) -> None:
    """Refuse an integer that Go's int64 does not hold: no client could read it again."""
    if isinstance(value, dict):
        for each in value.values():
            _check_numbers(each)
    elif isinstance(value, list):
        for each in value:
            _check_numbers(each)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise InvalidArgumentError(f"invalid JSON: the number {value} is out of range")


def _lower(error: BaseException) -> str:
    text = str(error)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _repaired(value: object, kind: msgspec.inspect.Type) -> object:
    if isinstance(kind, msgspec.inspect.UnionType):
        if value is None and kind.includes_none:
            return None
        others = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
        return _repaired(value, others[0]) if len(others) == 1 else value
    if isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        return _repaired_struct(value, kind)
    if isinstance(kind, msgspec.inspect.DictType) and isinstance(value, dict):
        return {key: _repaired(each, kind.value_type) for key, each in value.items()}
    if isinstance(kind, msgspec.inspect.ListType):
        return _repaired_list(value, kind)
    return _zero(kind) if value is None else value


def _zero(kind: msgspec.inspect.Type) -> object:
    """What null stands for where it is no value: in a list, in a map."""
    if isinstance(kind, msgspec.inspect.StructType):
        return {}
    return "" if isinstance(kind, msgspec.inspect.StrType) else None


def _repaired_struct(
    value: dict[str, object], kind: msgspec.inspect.StructType
) -> dict[str, object]:
    fields = {each.encode_name: each.type for each in kind.fields}
    repaired = {
        name: _repaired(each, fields[name]) for name, each in value.items() if name in fields
    }
    # A null that stayed where null is no value: the field takes its default, the zero value.
    return {
        name: each
        for name, each in repaired.items()
        if value[name] is not None or (each is None and _takes_none(fields[name]))
    }


def _repaired_list(value: object, kind: msgspec.inspect.ListType) -> object:
    if isinstance(value, list):
        return [_repaired(each, kind.item_type) for each in value]
    if isinstance(value, str) and isinstance(kind.item_type, msgspec.inspect.StrType):
        return [value]
    return value


def _takes_none(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none

"""Flags in docker's manner: clusters (``-it``), ``--flag=value``, ``--``, lists.

A command lists its flags as tuples, so that a long list costs nothing until it is used. What a
value means is decided by its kind; a command may name a check of its own for a flag, which is
imported only when the flag is given.

Source of the grammar and the messages: pflag, as the docker command line uses it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    FlagRow = tuple[str, str, str, object, str]
    """Name, one-letter name or "", kind, default, what it is for ("": not shown).

    The kind ``=NAME`` makes it another name of the flag NAME.
    """

BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


_ESCAPES = dict(zip("\a\b\f\n\r\t\v", (f"\\{letter}" for letter in "abfnrtv"), strict=True))


class FlagError(Exception):
    """The flags given cannot be understood; the text says which and why."""


class BadValueError(Exception):
    """A flag's value cannot be understood; the text is why."""


def quoted(text: str) -> str:
    """A text in double quotes, as Go's ``%q`` shows it: nothing that a terminal would obey."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    if not inner.isprintable():
        inner = "".join(each if each.isprintable() else _escaped(each) for each in inner)
    return f'"{inner}"'


def _escaped(character: str) -> str:
    number = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def boolean(text: str) -> bool:
    """A value of ``--flag=value``; ``BadValueError`` for what is neither true nor false."""
    if text not in BOOLEANS:
        raise BadValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return BOOLEANS[text]


def integer(text: str) -> int:
    """A 64-bit number, also with the prefixes ``0x``, ``0o``, ``0b``; ``BadValueError``."""
    return _number(text, "ParseInt", -(1 << 63), (1 << 63) - 1)


def uint16(text: str) -> int:
    """A number below 65536; ``BadValueError``."""
    return _number(text, "ParseUint", 0, (1 << 16) - 1)


def uint64(text: str) -> int:
    """A number of 64 bits without a sign; ``BadValueError``."""
    return _number(text, "ParseUint", 0, (1 << 64) - 1)


def _number(text: str, function: str, low: int, high: int) -> int:
    digits = text.removeprefix("-" if text[:1] == "-" else "+")
    octal = digits[:1] == "0" and digits.isdecimal()
    try:
        value = int(text if text.strip() == text else "", 8 if octal else 0)
    except ValueError:
        raise BadValueError(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    if not low <= value <= high:
        if low == 0 and value < 0:
            raise BadValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
        raise BadValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def _text(text: str) -> str:
    return text


def _filter(text: str) -> str:
    if "=" not in text:
        raise BadValueError("bad format of filter (expected name=value)")
    name, _, value = text.partition("=")
    return f"{name.strip().lower()}={value.strip()}"


def _from_units(name: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        return _load(f"knarr.cli.quantities:{name}")(text)

    return convert


KINDS: dict[str, Callable[[str], Any]] = {
    "": boolean,
    "string": _text,
    "int": integer,
    "uint": uint64,
    "uint16": uint16,
    "list": _text,
    "strings": _text,
    "map": _text,
    "mount": _text,
    "network": _text,
    "ulimit": _text,
    "filter": _filter,
    "gpu-request": _text,
    "bytes": _from_units("memory"),
    "swap": _from_units("swap"),
    "decimal": _from_units("nano_cpus"),
    "duration": _from_units("duration"),
}
"""How a value of each kind is understood. ``--help`` shows the kind's name."""

MANY = frozenset({"list", "strings", "map", "mount", "network", "ulimit", "filter", "gpu-request"})
"""The kinds whose flags may be given several times."""


class Flags:
    """The values of a command's flags, given or default."""

    def __init__(self, rows: Sequence[FlagRow], checks: Mapping[str, str]) -> None:
        self._rows = {row[0]: row for row in rows}
        self._short = {row[1]: row[0] for row in rows if row[1]}
        self._checks = checks
        self._values: dict[str, Any] = {}
        self.wants_help = False
        self.shorthand_help = False

    # Values.

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self._values

    def on(self, name: str) -> bool:
        """A yes-or-no flag."""
        return bool(self._value(name))

    def text(self, name: str) -> str:
        """A flag with one text."""
        return str(self._value(name))

    def number(self, name: str) -> int:
        """A flag with one number."""
        return int(self._value(name))

    def many(self, name: str) -> list[Any]:
        """A flag that may be given several times: its values in that order."""
        return list(self._values.get(name, ()))

    def _value(self, name: str) -> Any:
        """The value given last, else the default."""
        return self._values.get(name, self._rows[name][3])

    # Parsing.

    def parse(self, arguments: Sequence[str], *, interspersed: bool) -> list[str]:
        """Take the flags out of ``arguments`` and return the rest.

        ``interspersed``: flags may follow the first positional argument.
        Errors: ``FlagError``.
        """
        rest: list[str] = []
        position = 0
        while position < len(arguments):
            argument = arguments[position]
            position += 1
            if argument == "--":
                rest += arguments[position:]
                break
            if len(argument) < 2 or argument[0] != "-":
                rest.append(argument)
                if interspersed:
                    continue
                rest += arguments[position:]
                break
            following = arguments[position] if position < len(arguments) else None
            taken = self._long if argument[1] == "-" else self._cluster
            position += taken(argument, following)
            if self.wants_help:
                break
        return rest

    def _long(self, argument: str, following: str | None) -> int:
        """Understand ``--name`` or ``--name=value``; how many following arguments it took."""
        name, equals, value = argument[2:].partition("=")
        if not name or name[0] == "-":
            raise FlagError(f"bad flag syntax: {argument}")
        if name not in self._rows:
            if name == "help":
                self.wants_help = True
                return 0
            raise FlagError(f"unknown flag: --{name}")
        if equals:
            self._set(name, value)
            return 0
        if not self._rows[name][2]:
            self._set(name, "true")
            return 0
        if following is None:
            raise FlagError(f"flag needs an argument: --{name}")
        self._set(name, following)
        return 1

    def _cluster(self, argument: str, following: str | None) -> int:
        """Understand ``-abc``; how many following arguments it took."""
        letters = argument[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            name = self._short.get(letter)
            if name is None:
                if letter == "h":
                    self.wants_help = self.shorthand_help = True
                    return 0
                raise FlagError(f"unknown shorthand flag: {letter!r} in {argument}")
            if len(letters) > 1 and letters[0] == "=":
                self._set(name, letters[1:])
                return 0
            if not self._rows[name][2]:
                self._set(name, "true")
                continue
            if letters:
                self._set(name, letters)
                return 0
            if following is None:
                raise FlagError(f"flag needs an argument: {letter!r} in {argument}")
            self._set(name, following)
            return 1
        return 0

    def _set(self, name: str, text: str) -> None:
        given, (_, short, kind, _, _) = name, self._rows[name]
        if kind[:1] == "=":
            name = kind[1:]
            kind = self._rows[name][2]
        try:
            value = KINDS[kind](text)
            if name in self._checks:
                value = _load(self._checks[name])(value)
        except BadValueError as error:
            shown = f"-{short}, --{given}" if short else f"--{given}"
            raise FlagError(
                f'invalid argument {quoted(text)} for "{shown}" flag: {error}'
            ) from None
        if kind == "strings":
            self._values.setdefault(name, []).extend(value.split(","))
        elif kind in MANY:
            self._values.setdefault(name, []).append(value)
        else:
            self._values[name] = value


def _load(place: str) -> Callable[[Any], Any]:
    """The function at ``module:name``."""
    module, _, name = place.partition(":")
    found: Callable[[Any], Any] = getattr(__import__(module, fromlist=(name,)), name)
    return found

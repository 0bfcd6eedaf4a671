"""Files of ``--env-file`` and ``--label-file``: one ``name=value`` a line, ``#`` for comments."""

from __future__ import annotations

from knarr.cli.command import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Lookup = Callable[[str], str | None]

_LIMIT = 64 * 1024


def read(paths: Iterable[str], lookup: Lookup | None) -> list[str]:
    """The lines of all files; with ``lookup``, a name alone takes its value there, or is dropped.

    Errors: ``OSError``; ``CommandError`` for a line that cannot be a variable or is no UTF-8.
    """
    found = []
    for path in paths:
        try:
            found += _read(path, lookup)
        except IsADirectoryError:
            raise CommandError(f"invalid env file ({path}): read {path}: is a directory") from None
    return found


def _read(path: str, lookup: Lookup | None) -> list[str]:
    found = []
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            line = _line(path, number, raw)
            if line and (entry := _entry(path, line, lookup)) is not None:
                found.append(entry)
    return found


def _line(path: str, number: int, raw: bytes) -> str:
    if len(raw) > _LIMIT:
        raise CommandError(f"invalid env file ({path}): line {number} is too long")
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = " ".join(str(byte) for byte in raw.rstrip(b"\r\n"))
        raise CommandError(
            f"invalid env file ({path}): invalid utf8 bytes at line {number}: [{shown}]"
        ) from None
    line = line.rstrip("\r\n").lstrip(" \t")
    return "" if line.startswith("#") else line


def _entry(path: str, line: str, lookup: Lookup | None) -> str | None:
    name, equals, value = line.partition("=")
    if not name:
        raise CommandError(f"invalid env file ({path}): no variable name on line '{line}'")
    if " " in name or "\t" in name:
        raise CommandError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
    if equals:
        return f"{name}={value}"
    if lookup is None:
        return name
    found = lookup(name)
    return None if found is None else f"{name}={found}"

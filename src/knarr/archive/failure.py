"""What can be wrong with an archive, and how its names are shown to people."""

from __future__ import annotations

from knarr.errors import InvalidArgumentError

_SHOWN = 120


class BadArchiveError(InvalidArgumentError):
    """The archive is damaged, or says something that cannot or may not be done."""


class TruncatedArchiveError(BadArchiveError):
    """The archive ends before it is complete."""


def shown(name: bytes) -> str:
    """``name`` in double quotes for a message: UTF-8 where it is, escapes where not, cut short."""
    text = name.decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return f'"{printable[:_SHOWN]}…"' if len(printable) > _SHOWN else f'"{printable}"'

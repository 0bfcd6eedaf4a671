"""The bar that a message of progress has as text, for clients that draw none themselves.

Source: the ``progress`` of dockerd's messages, ``[===>    ]  1.049MB/4.2MB``.
"""

from __future__ import annotations

_WIDTH = 50
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def bar(current: int, total: int) -> str:
    """How much of a total is done; nothing before the first byte."""
    if not current:
        return ""
    if not 0 < current <= total:
        return f"{size(current):>8}"
    filled = current * _WIDTH // total
    return f"[{'=' * filled}>{' ' * (_WIDTH - filled)}] {size(current):>8}/{size(total)}"


def size(count: float) -> str:
    """Bytes in units of 1000 with four digits at the most."""
    place = 0
    while count >= 1000 and place < len(_UNITS) - 1:
        count /= 1000
        place += 1
    return f"{count:.4g}{_UNITS[place]}"

"""Columns as docker prints them: at least 10 wide, 3 spaces between, the last one ragged."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LEAST = 10
_GAP = 3


def layout(rows: Iterable[Sequence[str]], *, least: int = _LEAST, gap: int = _GAP) -> str:
    """The rows as lines. A cell's width is its number of characters, as Go's tabwriter counts it.

    Consecutive rows share the widths of the columns that they have; the last cell of a row belongs
    to no column.
    """
    cells = [list(row) for row in rows]
    _widen(cells, 0, 0, len(cells), (least, gap))
    return "".join("".join(row) + "\n" for row in cells)


def _widen(
    rows: list[list[str]], column: int, first: int, last: int, sizes: tuple[int, int]
) -> None:
    """Pad a column in every run of rows that have it, then the columns right of it."""
    least, gap = sizes
    position = first
    while position < last:
        if len(rows[position]) <= column + 1:
            position += 1
            continue
        end = position
        while end < last and len(rows[end]) > column + 1:
            end += 1
        run = rows[position:end]
        width = max(least, *(len(row[column]) + gap for row in run))
        for row in run:
            row[column] = row[column].ljust(width)
        _widen(rows, column + 1, position, end, sizes)
        position = end


def align(text: str, *, least: int = _LEAST, gap: int = _GAP) -> str:
    """Lay out lines whose cells are separated by tabs."""
    lines = text.split("\n")
    tail = lines.pop()
    return layout((line.split("\t") for line in lines), least=least, gap=gap) + tail


def ellipsis(text: str, length: int) -> str:
    """A text shortened to ``length`` characters, the last of which says so."""
    return text if len(text) <= length else text[: length - 1] + "\u2026"

"""Sparse files in tar archives: GNU's old format, and PAX 0.0, 0.1 and 1.0.

Source: GNU tar manual "Storing Sparse Files". Whatever the format, a map is a list of pairs
``(start, length)`` in file order, and the archive holds the runs one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import pax
from .entry import Extent
from .failure import BadArchiveError, shown
from .header import BLOCK, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_OLD_FIRST, _OLD_SLOTS, _OLD_EXTENDED, _OLD_REALSIZE = 386, 4, 482, 483
_NEXT_SLOTS, _NEXT_EXTENDED = 21, 504
_SLOT = 24
MAX_RUNS = 1 << 20
"""More runs than this in one file are refused: a map is held in memory."""


def old_gnu(
    block: bytes, take: Callable[[int], bytes], name: bytes
) -> tuple[int, list[tuple[int, int]]]:
    """The size and the map of an entry of type ``S``; ``take`` reads its further header blocks."""
    size = number(block[_OLD_REALSIZE : _OLD_REALSIZE + 12])
    runs = _slots(block, _OLD_FIRST, _OLD_SLOTS)
    more = block[_OLD_EXTENDED]
    while more:
        block = take(BLOCK)
        runs += _slots(block, 0, _NEXT_SLOTS)
        _check_count(len(runs), name)
        more = block[_NEXT_EXTENDED]
    return size, runs


def _slots(block: bytes, first: int, count: int) -> list[tuple[int, int]]:
    runs = []
    for at in range(first, first + count * _SLOT, _SLOT):
        if not block[at]:  # an unused slot
            break
        runs.append((number(block[at : at + 12]), number(block[at + 12 : at + 24])))
    return runs


def pax_0(records: Mapping[bytes, bytes], name: bytes) -> tuple[int, list[tuple[int, int]]]:
    """The size and the map that stand in the records of formats 0.0 and 0.1."""
    size = pax.decimal(records.get(b"GNU.sparse.size", b""), b"GNU.sparse.size")
    text = records[pax.SPARSE_PAIRS]
    numbers = [pax.decimal(item, pax.SPARSE_PAIRS) for item in text.split(b",")] if text else []
    if len(numbers) % 2:
        raise BadArchiveError(f"the sparse map of {shown(name)} is damaged")
    _check_count(len(numbers) // 2, name)
    return size, list(zip(numbers[::2], numbers[1::2], strict=True))


def pax_1(take: Callable[[int], bytes], name: bytes) -> tuple[int, list[tuple[int, int]]]:
    """The map at the head of the data of format 1.0, and how many bytes it takes there."""
    text, used = b"", 0

    def numbers(wanted: int) -> list[int]:
        nonlocal text, used
        while text.count(b"\n") < wanted:
            text += take(BLOCK)
            used += BLOCK
        lines = text.split(b"\n", wanted)
        text = lines.pop()
        return [pax.decimal(line, pax.SPARSE_PAIRS) for line in lines]

    (count,) = numbers(1)
    _check_count(count, name)
    runs = []
    for _ in range(count):
        start, length = numbers(2)
        runs.append((start, length))
    return used, runs


def extents(
    runs: Sequence[tuple[int, int]], *, size: int, offset: int, stored: int, name: bytes
) -> tuple[Extent, ...]:
    """Place the runs of a map in the archive, where ``stored`` bytes begin at ``offset``.

    Raises BadArchiveError when they overlap, leave the file, or are not exactly what is stored.
    """
    placed = []
    last, used = 0, 0
    for start, length in runs:
        if start < last or start + length > size:
            raise BadArchiveError(f"the sparse map of {shown(name)} is damaged")
        if length:
            placed.append(Extent(start, offset + used, length))
        last = start + length
        used += length
    if used != stored:
        raise BadArchiveError(f"the sparse map of {shown(name)} does not match its data")
    return tuple(placed)


def _check_count(count: int, name: bytes) -> None:
    if count > MAX_RUNS:
        raise BadArchiveError(f"{shown(name)} has more than {MAX_RUNS} runs of data")

"""Holes of a file whose data lie whole in the archive: a note for us, nothing for other readers.

The sparse forms of tar are read by most programs, but dockerd cannot give a layer with one out
again (tar-split does not know them). So a sparse file is written whole, zeros and all, with a
record that says where its data are; who does not know the record reads an ordinary file.

Law: the record is believed only after the data were looked at: what it calls a hole must be zeros.
A wrong or malformed one counts as none, so no archive reads differently here than elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .entry import Extent

RECORD = b"KNARR.data"
"""The PAX record: start and length of each run of data, in decimal, with commas between."""

_FORM = re.compile(rb"(?:\d{1,19}(?:,\d{1,19})*)?")
_LONGEST = 1 << 19
_ZEROS = bytes(1 << 16)


def encode(extents: Sequence[Extent]) -> bytes | None:
    """The record for these runs; None when it would be too long."""
    text = b",".join(b"%d,%d" % (run.start, run.length) for run in extents)
    return text if len(text) <= _LONGEST else None


def decode(record: bytes | None, size: int) -> list[tuple[int, int]] | None:
    """The runs of a file of this size, in order and apart; None for no record and a wrong one."""
    if record is None or len(record) > _LONGEST or not _FORM.fullmatch(record):
        return None
    numbers = [int(each) for each in record.split(b",")] if record else []
    runs = list(zip(numbers[::2], numbers[1::2], strict=False))
    end = 0
    for start, length in runs:
        if start < end or not length:
            return None
        end = start + length
    return runs if end <= size and len(numbers) % 2 == 0 else None


def gaps(runs: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Start and length of what is between the runs."""
    found = []
    end = 0
    for start, length in (*runs, (size, 0)):
        if start > end:
            found.append((end, start - end))
        end = start + length
    return found


def hold(data: Iterable[bytes], holes: Sequence[tuple[int, int]]) -> bool:
    """Read the data to their end; whether they are zeros in all holes."""
    pending = iter(holes)
    start, length = next(pending, (0, 0))
    at, true = 0, True
    for piece in data:
        end = at + len(piece)
        while true and length and start < end:
            stop = min(start + length, end)
            true = _is_zero(piece, max(start, at) - at, stop - at)
            if start + length > end:
                break
            start, length = next(pending, (0, 0))
        at = end
    return true


def _is_zero(piece: bytes, start: int, stop: int) -> bool:
    step = len(_ZEROS)
    for at in range(start, stop, step):
        end = min(at + step, stop)
        if piece[at:end] != _ZEROS[: end - at]:
            return False
    return True

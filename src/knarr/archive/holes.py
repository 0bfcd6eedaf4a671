"""The holes of a file that exists.

Law: a file that has none, or only small ones, is written as a plain one, which every reader of tars
understands; only where holes would cost a lot is the sparse form worth it.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from .entry import Extent

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORTH = 1 << 16
"""So many bytes of holes make a file sparse."""

_MOST_RUNS = 1 << 14


def find(fd: int, info: os.stat_result) -> tuple[Extent, ...] | None:
    """The runs of data of a regular file, with no place in an archive yet; None: write it whole.

    Leaves the file at its beginning.
    """
    size = info.st_size
    if info.st_blocks * 512 + _WORTH > size:
        return None
    runs = []
    for start, end in _runs(fd, size):
        runs.append(Extent(start, 0, end - start))
        if len(runs) > _MOST_RUNS:
            break
    os.lseek(fd, 0, os.SEEK_SET)
    holes = size - sum(run.length for run in runs)
    return tuple(runs) if holes >= _WORTH and len(runs) <= _MOST_RUNS else None


def _runs(fd: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if start >= end:
            return
        yield start, end

"""A stream of what a function writes: order, errors, readers that leave."""

from __future__ import annotations

import threading
from typing import BinaryIO

import pytest

from knarr.archive.produced import Chunks, Produced


def read_all(produced: Produced, count: int = -1) -> bytes:
    pieces = []
    while piece := produced.read(count):
        pieces.append(piece)
    produced.close()
    return b"".join(pieces)


@pytest.mark.parametrize("count", [-1, 1000, 1 << 20])
def test_everything_comes_in_order(count: int) -> None:
    written = [bytes([n % 256]) * (n * 977 % 300_000) for n in range(60)]

    def write(out: BinaryIO) -> None:
        for each in written:
            out.write(each)

    assert read_all(Produced(write), count) == b"".join(written)


def test_an_error_comes_out_of_read() -> None:
    def write(out: BinaryIO) -> None:
        out.write(b"x" * (3 << 20))
        raise ValueError("broken")

    produced = Produced(write)
    with pytest.raises(ValueError, match="broken"):
        read_all(produced)
    produced.close()


def test_a_reader_that_leaves_ends_the_writer() -> None:
    before = threading.active_count()

    def write(out: BinaryIO) -> None:
        while True:
            out.write(b"x" * (1 << 20))

    produced = Produced(write)
    assert produced.read(10) == b"x" * 10
    produced.close()
    assert threading.active_count() == before


def test_chunks_are_nearly_full_and_never_larger() -> None:
    chunks: list[bytes] = []
    out = Chunks(chunks.append, 1000)
    for size in (400, 400, 400, 1, 1000, 5000, 10):
        assert out.write(b"x" * size) == size
    out.flush()
    out.flush()
    assert [len(chunk) for chunk in chunks] == [800, 401, 1000, 5000, 10]

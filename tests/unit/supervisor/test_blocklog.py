"""The compact form of a log: packing, reading back, and what a crash of the host leaves."""

import os

import pytest

from knarr.supervisor import blocklog
from knarr.supervisor.blocklog import BlockForm, parse, record


def test_a_record_keeps_bytes_as_they_are() -> None:
    data = bytes(range(256)) * 3 + b"\n\xff\n"
    packed = record(2, data, 1_700_000_000_123_456_789)
    block = parse(packed)
    assert block == (2, 1_700_000_000_123_456_789, data, len(packed))
    assert len(packed) == len(data) + blocklog.OVERHEAD


@pytest.mark.parametrize(("data", "entries"), [(b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"x", 1)])
def test_entries_are_lines_and_pieces_of_lines(data: bytes, entries: int) -> None:
    block = parse(record(1, data, 1))
    assert block is not None
    assert block.entries == entries


@pytest.mark.parametrize("room", [None, 1, 25, 40, 60, 10_000])
def test_the_first_line_that_reaches_the_room_is_the_last(room: int | None) -> None:
    data = b"".join(b"line %d\n" % n for n in range(20)) + b"rest"
    packed, taken = BlockForm().pack(1, data, 1, room)
    block = parse(packed)
    assert block is not None
    assert block.data == data[:taken]
    if room is None or len(data) + blocklog.OVERHEAD <= room:
        assert taken == len(data)
    else:
        assert block.data.endswith(b"\n")
        assert len(packed) >= room
        assert len(packed) - len(block.data.splitlines()[-1]) - 1 <= max(room, blocklog.OVERHEAD)


@pytest.mark.parametrize(
    "tail",
    [b"", b"K", b"Kb\x01", record(1, b"torn\n", 5)[:-3], b"\0" * 5000, b"junk" * 40],
    ids=["whole", "one-byte", "half-a-head", "cut", "zeros", "junk"],
)
def test_what_a_crash_has_torn_is_found(tmp_path, tail: bytes) -> None:
    whole = b"".join(record(1, b"line %d\n" % n, n) for n in range(5))
    (tmp_path / "log").write_bytes(whole + tail)
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    assert BlockForm().whole(fd, len(whole) + len(tail)) == len(whole)
    os.close(fd)


def test_a_flipped_bit_is_noticed() -> None:
    packed = bytearray(record(1, b"hello\n", 1))
    for position in range(len(packed)):
        packed[position] ^= 0x10
        assert parse(bytes(packed)) is None, position
        packed[position] ^= 0x10
    assert parse(bytes(packed)) is not None


def test_lengths_that_cannot_be_are_not_believed() -> None:
    head = blocklog.HEAD.pack(b"Kb", 1, 1, 0xFFFFFFFF, 1)
    assert blocklog.first_length(head) == -1
    assert parse(head + b"x" * 100) is None

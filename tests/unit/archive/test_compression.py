"""Compressed streams: every kind, in pieces, damaged and cut."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
from collections.abc import Callable

import pytest
import zstandard

from knarr.archive.compression import CountingReader, decompressed, sniff
from knarr.archive.failure import BadArchiveError
from knarr.errors import ResourceExhaustedError

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
DATA = random.Random(1).randbytes(70_000) + b"text " * 300_000


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a socket does."""

    def __init__(self, data: bytes, size: int) -> None:
        self._inner = io.BytesIO(data)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size if size is None or size < 0 else min(size, self._size)
        return self._inner.read(wanted)


def plain(data: bytes, size: int = 1 << 20) -> bytes:
    out = b""
    stream = decompressed(Trickle(data, size))  # type: ignore[arg-type]
    while piece := stream.read(100_000):
        out += piece
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1 << 20, 1000])
def test_round_trip(kind: str, size: int) -> None:
    packed = KINDS[kind](DATA)
    assert sniff(packed[:6]) == kind
    assert plain(packed, size) == DATA


@pytest.mark.parametrize("kind", KINDS)
def test_several_members_are_one_stream(kind: str) -> None:
    pack = KINDS[kind]
    assert plain(pack(DATA) + pack(b"") + pack(b"tail")) == DATA + b"tail"


@pytest.mark.parametrize("kind", ["gzip", "xz"])
def test_zeros_behind_are_padding(kind: str) -> None:
    pack = KINDS[kind]
    assert plain(pack(b"a") + bytes(600_000) + pack(b"b") + bytes(512)) == b"ab"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.3, 0.9, -1, -9])
def test_truncated_stream_is_refused(kind: str, keep: float) -> None:
    packed = KINDS[kind](DATA)
    end = int(len(packed) * keep) if keep > 0 else len(packed) + int(keep)
    with pytest.raises(BadArchiveError, match=f"the {kind} stream is"):
        plain(packed[:end])


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_stream_is_refused(kind: str) -> None:
    packed = bytearray(KINDS[kind](DATA))
    packed[40_000] ^= 0x55
    with pytest.raises(BadArchiveError, match=f"the {kind} stream is"):
        plain(bytes(packed))


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_behind_is_refused(kind: str) -> None:
    with pytest.raises(BadArchiveError):
        plain(KINDS[kind](b"a") + b"rubbish that is no stream of any kind")


def test_zstd_with_skippable_frames() -> None:
    skip = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    assert plain(skip + KINDS["zstd"](b"x") + skip) == b"x"


@pytest.mark.parametrize("data", [b"", b"a", b"abc", b"\x1f", bytes(1000), DATA])
def test_plain_streams_pass_through(data: bytes) -> None:
    assert plain(data, 3 if len(data) < 2000 else 5000) == data
    assert decompressed(io.BytesIO(data)).read() == data


def test_expansion_is_bounded_by_what_is_read() -> None:
    bomb = gzip.compress(bytes(20 << 20))
    stream = decompressed(io.BytesIO(bomb))
    assert len(stream.read(1000)) == 1000


def test_counting_reader_stops_at_its_limit() -> None:
    reader = CountingReader(io.BytesIO(b"x" * 100), limit=60, what="the layer")
    assert reader.read(50) == b"x" * 50
    assert reader.count == 50
    with pytest.raises(ResourceExhaustedError, match="the layer is larger than 60 bytes"):
        reader.read(50)

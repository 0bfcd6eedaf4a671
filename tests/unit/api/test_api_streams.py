from __future__ import annotations

import random

import pytest

from knarr.api import detach, streams
from knarr.errors import DataLossError, InvalidArgumentError


def test_frame_is_dockers() -> None:
    assert streams.frame(streams.STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 8, 9, 64, 1 << 20])
def test_frames_in_pieces_of_any_size(step: int) -> None:
    rng = random.Random(step)
    sent = {streams.STDOUT: b"", streams.STDERR: b""}
    wire = b""
    for _ in range(50):
        stream = rng.choice(list(sent))
        payload = rng.randbytes(rng.choice([0, 1, 5, 300]))
        sent[stream] += payload
        wire += streams.frame(stream, payload)
    got = {streams.STDOUT: b"", streams.STDERR: b""}
    decoder = streams.Decoder()
    for start in range(0, len(wire), step):
        for stream, payload in decoder.feed(wire[start : start + step]):
            got[stream] += payload
    decoder.close()
    assert got == sent


def test_payload_comes_before_its_frame_is_complete() -> None:
    decoder = streams.Decoder()
    assert decoder.feed(b"\x01\0\0\0\xff\xff\xff\xffhello") == [(1, b"hello")]
    with pytest.raises(DataLossError):
        decoder.close()


def test_unknown_stream() -> None:
    with pytest.raises(DataLossError, match="unrecognized stream: 7"):
        streams.Decoder().feed(b"\x07\0\0\0\0\0\0\0")


def test_half_a_header() -> None:
    decoder = streams.Decoder()
    assert decoder.feed(b"\x01\0\0") == []
    with pytest.raises(DataLossError):
        decoder.close()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@,a,ctrl-_", b"\0a\x1f"),
        ("ctrl-\\", b"\x1c"),
        ("q", b"q"),
    ],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert detach.parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "a,,b", "é", "ctrl-P"])
def test_bad_detach_keys(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Invalid detach keys"):
        detach.parse(text)


def test_scanner_finds_a_split_sequence() -> None:
    scanner = detach.Scanner(b"\x10\x11")
    assert scanner.feed(b"ls\n\x10") == (b"ls\n", False)
    assert scanner.feed(b"x\x10\x10") == (b"\x10x\x10", False)
    assert scanner.feed(b"\x11rest") == (b"", True)


def test_scanner_gives_back_what_it_held() -> None:
    scanner = detach.Scanner(b"aab")
    assert scanner.feed(b"xaa") == (b"x", False)
    assert scanner.feed(b"a") == (b"a", False)
    assert scanner.close() == b"aa"
    assert scanner.close() == b""


def test_scanner_loses_nothing() -> None:
    rng = random.Random(5)
    text = bytes(rng.choice(b"aab") for _ in range(2000)).replace(b"abab", b"aa")
    scanner = detach.Scanner(b"abab")
    assert b"abab" not in text or text.count(b"abab")
    out, done, position = b"", False, 0
    while position < len(text) and not done:
        step = rng.randint(1, 4)
        passed, done = scanner.feed(text[position : position + step])
        out += passed
        position += step
    expected = text.partition(b"abab")[0]
    assert out + (b"" if done else scanner.close()) == expected

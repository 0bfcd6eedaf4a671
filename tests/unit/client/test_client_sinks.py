"""Frames of several streams, written to descriptors."""

from __future__ import annotations

import os

import pytest

from knarr.client import duplex
from knarr.errors import UnavailableError


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def test_what_came_together_is_written_at_once_and_in_order(monkeypatch) -> None:
    written: list[tuple[int, bytes]] = []

    def write(fd: int, data: bytes) -> int:
        written.append((fd, bytes(data)))
        return len(data)

    monkeypatch.setattr(duplex.posix, "write", write)
    sink = duplex.demultiplexed(11, 12)
    both = [frame(1, b"a\n"), frame(1, b"b\n"), frame(2, b"err\n"), frame(1, b""), frame(1, b"c\n")]
    data = b"".join(both)
    sink(data)
    assert written == [(11, b"a\nb\n"), (12, b"err\n"), (11, b"c\n")]
    for cut in range(1, len(data)):
        written.clear()
        sink(data[:cut])
        sink(data[cut:])
        for fd, text in ((11, b"a\nb\nc\n"), (12, b"err\n")):
            assert b"".join(part for each, part in written if each == fd) == text


def test_one_stream_may_be_dropped_and_an_error_comes_after_what_was_before() -> None:
    ours, theirs = os.pipe()
    sink = duplex.demultiplexed(theirs, None)
    with pytest.raises(UnavailableError, match="error from daemon in stream: broken"):
        sink(frame(2, b"nobody wants it") + frame(1, b"kept") + frame(3, b"broken"))
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        assert file.read() == b"kept"

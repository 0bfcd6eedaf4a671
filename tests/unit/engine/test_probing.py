"""What is kept of the output of a health check, and whose process it is."""

from __future__ import annotations

import pytest

from knarr.api.streams import frame
from knarr.containers.health import OUTPUT_LIMIT
from knarr.engine.probing import Output, is_probe


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_frames_are_read_however_they_come(size: int) -> None:
    stream = frame(1, b"one\n") + frame(2, b"") + frame(2, b"two\n") + frame(1, b"\xffthree")
    output = Output()
    for start in range(0, len(stream), size):
        output.feed(stream[start : start + size])
    assert output.text == "one\ntwo\n\ufffdthree"


def test_only_the_beginning_is_kept() -> None:
    output = Output()
    output.feed(frame(1, b"x" * (OUTPUT_LIMIT - 1)))
    assert output.text == "x" * (OUTPUT_LIMIT - 1)
    output.feed(frame(2, b"y"))
    assert output.text.endswith("xy")
    output.feed(frame(1, b"z" * 100_000))
    assert output.text == "x" * (OUTPUT_LIMIT - 1) + "y..."


def test_a_check_is_known_by_its_id() -> None:
    container = "0123456789abcdef" * 4
    assert is_probe(container, container[:16] + "f" * 48)
    assert not is_probe(container, "f" * 64)

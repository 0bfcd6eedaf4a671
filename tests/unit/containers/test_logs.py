from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from knarr.containers import logentries
from knarr.containers.logs import LogReader, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Open = Callable[[Selection], LogReader]


def rotated_path(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def entry(number: int, stream: str = "stdout", **more: Any) -> bytes:
    time = f"2024-05-01T10:00:{number % 60:02}.{number:09}Z"
    return json.dumps({"log": f"line {number}\n", "stream": stream, "time": time, **more}).encode()


def write(path: Path, entries: Iterable[bytes]) -> None:
    path.write_bytes(b"".join(each + b"\n" for each in entries))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def read_all(reader: LogReader) -> bytes:
    out = b""
    while chunk := reader.batch():
        out += chunk
    return out


def lines(numbers: Iterable[int]) -> bytes:
    return b"".join(b"line %d\n" % number for number in numbers)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x-json.log"


RAW = Selection(framed=False)


@pytest.fixture
def open_log(log: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:
        yield lambda chosen: stack.enter_context(contextlib.closing(LogReader(log, chosen)))


def test_reads_over_all_rotated_files_in_order(log: Path, open_log: Open) -> None:
    write(rotated_path(log, 2), map(entry, range(3)))
    write(rotated_path(log, 1), map(entry, range(3, 6)))
    write(log, map(entry, range(6, 9)))
    assert read_all(open_log(RAW)) == lines(range(9))


@pytest.mark.parametrize("tail", [None, 4, 100])
def test_reads_the_log_as_it_was_when_it_was_opened(log: Path, tail: int | None) -> None:
    write(rotated_path(log, 1), map(entry, range(3)))
    write(log, map(entry, range(3, 6)))
    chosen = Selection(framed=False, tail=tail)
    with contextlib.closing(LogReader(log, chosen, present=True)) as reader:
        append(log, entry(6) + b"\n")
        rotated_path(log, 1).rename(rotated_path(log, 2))
        log.rename(rotated_path(log, 1))
        write(log, map(entry, range(7, 9)))
        assert read_all(reader) == lines(range(2 if tail == 4 else 0, 6))


def test_frames_name_stream_and_length(log: Path, open_log: Open) -> None:
    write(log, [entry(1), entry(2, "stderr")])
    assert read_all(open_log(Selection())) == (
        b"\1\0\0\0\0\0\0\x07line 1\n" + b"\2\0\0\0\0\0\0\x07line 2\n"
    )
    only = Selection(stdout=False, framed=False)
    assert read_all(open_log(only)) == b"line 2\n"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 9, 20])
def test_tail_counts_back_over_rotated_files(log: Path, open_log: Open, count: int) -> None:
    write(rotated_path(log, 1), map(entry, range(4)))
    write(log, map(entry, range(4, 9)))
    expected = lines(range(9)[-count:] if count else [])
    assert read_all(open_log(RAW._replace(tail=count))) == expected


def test_tail_crosses_blocks(log: Path, open_log: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logentries, "BLOCK", 100)
    write(log, map(entry, range(500)))
    for count in (1, 7, 130, 499, 500, 501):
        reader = open_log(RAW._replace(tail=count))
        assert read_all(reader) == lines(range(max(0, 500 - count), 500))


def test_tail_of_a_log_that_is_not_there_yet(log: Path, open_log: Open) -> None:
    reader = open_log(RAW._replace(tail=5))
    assert reader.batch() == b""
    write(log, [entry(1)])
    assert read_all(reader) == b"line 1\n"


def test_follows_growth_and_waits_for_the_end_of_a_line(log: Path, open_log: Open) -> None:
    write(log, [entry(1)])
    reader = open_log(RAW)
    assert read_all(reader) == b"line 1\n"
    half = entry(2)
    append(log, half[:20])
    assert reader.batch() == b""
    append(log, half[20:] + b"\n" + entry(3) + b"\n")
    assert read_all(reader) == b"line 2\nline 3\n"


def rotate(log: Path) -> None:
    number = 1
    while rotated_path(log, number).exists():
        number += 1
    for older in range(number, 1, -1):
        rotated_path(log, older - 1).rename(rotated_path(log, older))
    log.rename(rotated_path(log, 1))


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_follows_rotation_without_loss(log: Path, open_log: Open, rotations: int) -> None:
    write(log, [entry(0)])
    reader = open_log(RAW)
    assert read_all(reader) == b"line 0\n"
    append(log, entry(1) + b"\n")
    for number in range(rotations):
        rotate(log)
        write(log, [entry(2 + number)])
    assert read_all(reader) == lines(range(1, 2 + rotations))


def test_goes_on_when_its_file_was_rotated_away(log: Path, open_log: Open) -> None:
    write(log, [entry(0)])
    reader = open_log(RAW)
    read_all(reader)
    log.unlink()
    write(rotated_path(log, 1), [entry(5)])
    write(log, [entry(6)])
    assert read_all(reader) == lines([5, 6])


def test_time_bounds_are_to_the_nanosecond(log: Path, open_log: Open) -> None:
    write(log, map(entry, range(10)))
    moments = [logentries.parse_time(f"2024-05-01T10:00:{n:02}.{n:09}Z") for n in range(10)]
    assert read_all(open_log(RAW._replace(since=moments[3]))) == lines(range(3, 10))
    assert read_all(open_log(RAW._replace(since=moments[3] + 1))) == lines(range(4, 10))
    reader = open_log(RAW._replace(since=moments[2], until=moments[5]))
    assert read_all(reader) == lines(range(2, 6))
    assert reader.finished


def test_timestamps_and_details(log: Path, open_log: Open) -> None:
    write(log, [entry(7, attrs={"b": "2", "a": "1"}), entry(8)])
    stamped = Selection(framed=False, timestamps=True, details=True)
    assert read_all(open_log(stamped)) == (
        b"2024-05-01T10:00:07.000000007Z a=1,b=2 line 7\n2024-05-01T10:00:08.000000008Z  line 8\n"
    )


def test_torn_lines_are_skipped(log: Path, open_log: Open) -> None:
    log.write_bytes(
        entry(1) + b"\n" + entry(2)[:15] + b"\n\0\0\0\n" + b"\xff\xfe\n" + entry(3) + b"\n"
    )
    assert read_all(open_log(RAW)) == b"line 1\nline 3\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000000000Z"),
        ("2024-05-01T10:00:00.5Z", "2024-05-01T10:00:00.500000000Z"),
        ("2024-05-01T10:00:00.123456789Z", "2024-05-01T10:00:00.123456789Z"),
        ("2024-05-01T10:00:00.12+02:00", "2024-05-01T10:00:00.120000000+02:00"),
    ],
)
def test_times_are_printed_with_nine_digits(text: str, expected: str) -> None:
    assert logentries.fixed_time(text) == expected


def test_times_of_other_zones_are_understood() -> None:
    assert logentries.parse_time("2024-05-01T12:00:00+02:00") == logentries.parse_time(
        "2024-05-01T10:00:00Z"
    )
    assert logentries.parse_time("nonsense") == 0

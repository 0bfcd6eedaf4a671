"""Entries of the json-file log."""

import json
import random

import pytest

from knarr.supervisor import jsonlog
from knarr.supervisor.logfiles import LogFiles
from knarr.supervisor.messages import LogConfig

STAMP = "2024-05-01T10:00:00.5Z"


def decode(data: bytes) -> list[str]:
    lines = data.decode().splitlines(keepends=True)
    assert all(line.endswith("}\n") for line in lines)
    entries = [json.loads(line) for line in lines]
    assert all(each["stream"] == "stderr" and each["time"] == STAMP for each in entries)
    return [each["log"] for each in entries]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\n", ["one\n"]),
        (b"one\ntwo\n", ["one\n", "two\n"]),
        (b"\n\n", ["\n", "\n"]),
        (b"unfinished", ["unfinished"]),
        (b"one\nunfinished", ["one\n", "unfinished"]),
        (b'quote " tab \t cr \r nul \0 del \x7f\n', ['quote " tab \t cr \r nul \0 del \x7f\n']),
        (b"C:\\new\nline\\\n", ["C:\\new\n", "line\\\n"]),
        (b"\\n", ["\\n"]),
        ("gr\u00fc\u00dfe \U0001f40b\n".encode(), ["gr\u00fc\u00dfe \U0001f40b\n"]),
        (b"bad \xff\xfe \xe2\x82 end\n", ["bad \ufffd\ufffd \ufffd\ufffd end\n"]),
        (b"line \xe2\x80\xa8 separator\n", ["line \u2028 separator\n"]),
    ],
)
def test_entries_are_the_lines(data: bytes, expected: list[str]) -> None:
    made = jsonlog.entries(data, "stderr", STAMP)
    assert made.count(b"\n") == len(expected)
    assert [json.loads(line)["log"] for line in made.split(b"\n")[:-1]] == expected


def test_attributes_stand_between_stream_and_time() -> None:
    extra = jsonlog.attributes((("tag", 'a"b'), ("env", "\u00fc")))
    made = jsonlog.entries(b"x\n", "stdout", STAMP, extra)
    assert json.loads(made)["attrs"] == {"tag": 'a"b', "env": "\u00fc"}
    assert list(json.loads(made)) == ["log", "stream", "attrs", "time"]


def test_random_bytes_survive_in_any_cut() -> None:
    """What is valid UTF-8 comes out as it went in, however it was cut into blocks."""
    chance = random.Random(1)
    alphabet = ["\n", "\\", '"', "a", "\u00e9", "\u20ac", "\U0001f40b", "\\n", "x" * 9000, "\0"]
    for _ in range(60):
        text = "".join(chance.choices(alphabet, k=chance.randrange(1, 60)))
        data, logged, found = text.encode(), 0, []
        arrived = 0
        while arrived < len(data):
            arrived = min(len(data), arrived + chance.randrange(1, 40_000))
            pending = data[logged:arrived]
            for start, stop in jsonlog.segments(pending, final=arrived == len(data)):
                found += decode(jsonlog.entries(pending[start:stop], "stderr", STAMP))
                logged = arrived - len(pending) + stop
        assert logged == len(data)
        assert "".join(found) == text
        assert all(entry.find("\n") in {-1, len(entry) - 1} for entry in found)
        assert all(len(entry.encode()) <= jsonlog.LONGEST + 1 for entry in found)


@pytest.mark.parametrize(
    ("data", "final", "expected"),
    [
        (b"", True, []),
        (b"rest", False, []),
        (b"rest", True, [(0, 4)]),
        (b"line\nrest", False, [(0, 5)]),
        (b"a" * 16384, False, [(0, 16384)]),
        (b"a" * 16383, False, []),
        (b"l\n" + b"a" * 16384 + b"\n", False, [(0, 16386), (16386, 16387)]),
        (b"a" * 40000, False, [(0, 16384), (16384, 32768)]),
        (b"a" * 40000, True, [(0, 16384), (16384, 32768), (32768, 40000)]),
        (b"a" * 16383 + b"\xc3\xa9", False, [(0, 16383)]),
    ],
)
def test_segments(data: bytes, final: bool, expected: list[tuple[int, int]]) -> None:
    assert list(jsonlog.segments(data, final=final)) == expected


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_714_557_600_000_000_001, "2024-05-01T10:00:00.000000001Z"),
        (1_714_557_600_500_000_000, "2024-05-01T10:00:00.5Z"),
        (1_714_557_600_000_120_000, "2024-05-01T10:00:00.00012Z"),
    ],
)
def test_timestamps_are_those_of_go(nanoseconds: int, expected: str) -> None:
    assert jsonlog.timestamp(nanoseconds) == expected


def files(tmp_path, max_size: int = -1, max_file: int = 3) -> LogFiles:
    return LogFiles(LogConfig(str(tmp_path / "log"), max_size, max_file))


def test_rotation_moves_files_up_and_drops_the_oldest(tmp_path) -> None:
    log = files(tmp_path)
    for text in ("a", "b", "c", "d"):
        log.append(text.encode())
        log.rotate()
    log.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"log": "", "log.1": "d", "log.2": "c"}


def test_a_rotation_that_was_killed_half_way_moves_nothing_twice(tmp_path) -> None:
    for name, text in {"log": "new", "log.2": "old"}.items():
        (tmp_path / name).write_text(text)  # log.1 was moved to log.2 already
    log = files(tmp_path)
    log.rotate()
    log.close()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"log": "", "log.1": "new", "log.2": "old"}


def test_one_file_is_emptied_instead(tmp_path) -> None:
    log = files(tmp_path, max_file=1)
    log.append(b"a")
    log.rotate()
    log.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log": ""}


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("a\n", "a\n"), ("a\nto", "a\n"), ("torn", ""), ("a\n" + "x" * 9000, "a\n")],
)
def test_a_torn_last_entry_is_cut_off(tmp_path, before: str, after: str) -> None:
    (tmp_path / "log").write_text(before)
    log = files(tmp_path)
    log.mend(jsonlog.JsonForm(()))
    log.close()
    assert (tmp_path / "log").read_text() == after


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        files(tmp_path)
    assert not (tmp_path / "elsewhere").exists()

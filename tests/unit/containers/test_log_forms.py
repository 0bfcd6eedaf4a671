"""Reading what the supervisor's own writers write: both forms, rotated, compressed, at once."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from knarr.containers.logs import LogReader, Selection
from knarr.supervisor import compression
from knarr.supervisor.containerlog import STDERR, STDOUT, ContainerLog
from knarr.supervisor.messages import BLOCKS, JSON, LogConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RAW = Selection(framed=False)
FORMS = pytest.mark.parametrize("form", [JSON, BLOCKS])


@contextlib.contextmanager
def writer(
    folder: Path, form: str, size: int = -1, number: int = 5, *, compress: bool = False
) -> Iterator[ContainerLog]:
    config = LogConfig(str(folder / "x.log"), size, number, form=form, compress=compress)
    log = ContainerLog(config, str(folder / "journal"), [].append)
    yield log
    log.close()
    settle()


def settle() -> None:
    deadline = time.monotonic() + 20
    while compression._running:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def read(folder: Path, form: str, selection: Selection = RAW) -> bytes:
    with contextlib.closing(LogReader(folder / "x.log", selection, form)) as reader:
        return rest(reader)


def rest(reader: LogReader) -> bytes:
    out = b""
    while chunk := reader.batch():
        out += chunk
    return out


def text(numbers: range) -> bytes:
    return b"".join(b"line %d\n" % number for number in numbers)


@FORMS
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("count", [0, 1, 7, 40, 99, 100, 101, None])
def test_tail_over_rotated_files(
    tmp_path: Path, form: str, count: int | None, compress: bool
) -> None:
    with writer(tmp_path, form, 300, 100, compress=compress) as log:
        for number in range(0, 100, 2):
            log.append(STDOUT, text(range(number, number + 2)))
    expected = range(100) if count is None else range(max(0, 100 - count), 100)
    assert read(tmp_path, form, RAW._replace(tail=count)) == text(expected)
    assert compress == any(path.suffix == ".gz" for path in tmp_path.iterdir())


@FORMS
def test_streams_pieces_and_bytes(tmp_path: Path, form: str) -> None:
    with writer(tmp_path, form) as log:
        log.append(STDOUT, b"x" * 40_000 + b"\nshort\r\n")
        log.append(STDERR, b"err\nno end", final=True)
    both = read(tmp_path, form, Selection())
    pieces = [16384, 16384, 40_000 - 2 * 16384 + 1]
    heads = [b"\1\0\0\0" + size.to_bytes(4, "big") for size in pieces]
    assert all(head in both for head in heads)
    assert both.endswith(b"\2\0\0\0\0\0\0\4err\n\2\0\0\0\0\0\0\6no end")
    assert read(tmp_path, form, RAW._replace(stderr=False)) == b"x" * 40_000 + b"\nshort\r\n"
    # As in Docker, a piece counts as a line of the tail and shows a time.
    assert read(tmp_path, form, RAW._replace(tail=3)) == b"short\r\nerr\nno end"
    assert read(tmp_path, form, RAW._replace(tail=4)).count(b"x") == pieces[-1] - 1
    assert read(tmp_path, form, RAW._replace(timestamps=True)).count(b"Z ") == 6


@FORMS
def test_pieces_of_a_line_have_the_time_of_the_first(tmp_path: Path, form: str) -> None:
    with writer(tmp_path, form) as log:
        log.append(STDOUT, b"x" * 20_000)
        log.append(STDERR, b"between\n")
        log.append(STDOUT, b"x" * 30_000 + b"\nnext\n" + b"y" * 20_000)
        log.append(STDOUT, b"y" * 4_000 + b"\nlast\n")
    stamped = read(tmp_path, form, RAW._replace(stderr=False, timestamps=True))
    found = re.findall(rb"(\d{4}-\S+Z) ([xy]+\n?|next\n|last\n)", stamped)
    times = {
        text[:1]: {stamp for stamp, each in found if each[:1] == text[:1]} for _, text in found
    }
    assert {key: len(each) for key, each in times.items()} == {b"x": 1, b"n": 1, b"y": 1, b"l": 1}
    assert times[b"n"] == times[b"y"]
    assert b"".join(text for _, text in found) == read(tmp_path, form, RAW._replace(stderr=False))


def test_blocks_keep_bytes_that_are_no_text(tmp_path: Path) -> None:
    data = bytes(range(256)) + b"\n"
    with writer(tmp_path, BLOCKS) as log:
        log.append(STDOUT, data)
    assert read(tmp_path, BLOCKS) == data
    assert read(tmp_path, BLOCKS, RAW._replace(details=True)).startswith(b" \0\1")


@FORMS
def test_bounds_of_time(tmp_path: Path, form: str) -> None:
    moments = []
    with writer(tmp_path, form) as log:
        for number in range(3):
            moments.append(time.time_ns())
            log.append(STDOUT, text(range(number, number + 1)))
        moments.append(time.time_ns())
    for first in range(3):
        for last in range(first, 3):
            chosen = RAW._replace(since=moments[first], until=moments[last + 1])
            assert read(tmp_path, form, chosen) == text(range(first, last + 1))


@FORMS
def test_details_are_as_docker_writes_them(tmp_path: Path, form: str) -> None:
    config = LogConfig(str(tmp_path / "x.log"), attrs=(("b", "1 &,="), ("a/é", "2")), form=form)
    log = ContainerLog(config, str(tmp_path / "journal"), [].append)
    log.append(STDOUT, b"hello\n")
    log.close()
    found = read(tmp_path, form, RAW._replace(details=True))
    expected = b"a%2F%C3%A9=2,b=1+%26%2C%3D hello\n" if form == JSON else b" hello\n"
    assert found == expected


@FORMS
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_following_many_rotations_loses_and_doubles_nothing(
    tmp_path: Path, form: str, compress: bool
) -> None:
    """The writer rotates some hundred times; it waits when the reader is further behind than the
    files that there are, which is what Docker's users get around with larger files.
    """
    total, ended = 6000, threading.Event()
    seen = 0

    def write() -> None:
        with writer(tmp_path, form, 2000, 40, compress=compress) as log:
            for number in range(0, total, 10):
                while number - seen > 500:
                    time.sleep(0.001)
                log.append(STDOUT, text(range(number, number + 10)))
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    out = b""
    with contextlib.closing(LogReader(tmp_path / "x.log", RAW, form)) as reader:
        while True:
            last = ended.is_set()
            while chunk := reader.batch():
                out += chunk
                seen = out.count(b"\n") if len(out) < 1000 else int(out[-12:].split()[-1])
            if last:
                break
            time.sleep(0.0005)
    thread.join()
    assert out == text(range(total))


def test_files_that_are_held_are_read_after_they_were_rotated_away(tmp_path: Path) -> None:
    with writer(tmp_path, JSON, 500, 2) as log:
        log.append(STDOUT, text(range(5)))
        with contextlib.closing(LogReader(tmp_path / "x.log", RAW)) as reader:
            for number in range(5, 100, 5):
                log.append(STDOUT, text(range(number, number + 5)))
                reader.hold()
            assert rest(reader) == text(range(100))


def test_a_removed_log_is_read_as_far_as_it_is_open(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    with writer(folder, JSON, 500, 5) as log:
        log.append(STDOUT, text(range(5)))
        with contextlib.closing(LogReader(folder / "x.log", RAW)) as reader:
            log.append(STDOUT, text(range(5, 20)))
            folder.rename(tmp_path / "trash")
            assert rest(reader) == text(range(20))


@FORMS
def test_a_log_that_was_emptied_is_read_from_its_start(tmp_path: Path, form: str) -> None:
    with writer(tmp_path, form) as log:
        log.append(STDOUT, text(range(50)))
        with contextlib.closing(LogReader(tmp_path / "x.log", RAW, form)) as reader:
            assert rest(reader) == text(range(50))
            os.truncate(tmp_path / "x.log", 0)
            log.append(STDOUT, text(range(3)))
            assert rest(reader) == text(range(3))


@FORMS
def test_a_kill_during_compression_doubles_nothing(tmp_path: Path, form: str) -> None:
    with writer(tmp_path, form, 300, 10, compress=True) as log:
        for number in range(0, 40, 2):
            log.append(STDOUT, text(range(number, number + 2)))
    packed = tmp_path / "x.log.2.gz"
    (tmp_path / "x.log.2").write_bytes(gzip.decompress(packed.read_bytes()))
    assert read(tmp_path, form) == text(range(40))


@FORMS
@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_file_is_not_read(tmp_path: Path, form: str, kind: str) -> None:
    path = tmp_path / "x.log"
    if kind == "link":
        (tmp_path / "secret").write_bytes(b'{"log":"secret\\n","stream":"stdout","time":""}\n')
        path.symlink_to(tmp_path / "secret")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert read(tmp_path, form) == b""


def test_a_torn_block_ends_its_file_only(tmp_path: Path) -> None:
    with writer(tmp_path, BLOCKS, 200, 5) as log:
        for number in range(40):
            log.append(STDOUT, text(range(number, number + 1)))
    whole = read(tmp_path, BLOCKS).splitlines()
    older = tmp_path / "x.log.1"
    data = bytearray(older.read_bytes())
    data[-10] ^= 1
    older.write_bytes(data)
    found = read(tmp_path, BLOCKS).splitlines()
    assert len(found) == len(whole) - 1
    assert found[-1] == b"line 39"
    assert set(found) < set(whole)


@FORMS
def test_a_log_is_read_whole_although_it_is_removed_meanwhile(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    with writer(folder, form, 500, 10) as log:
        for number in range(0, 100, 5):
            log.append(STDOUT, text(range(number, number + 5)))
    whole = read(folder, form)
    with contextlib.closing(LogReader(folder / "x.log", RAW, form)) as reader:
        first = reader.batch()
        for path in list(folder.iterdir()):
            path.unlink()
        folder.rmdir()
        assert first + rest(reader) == whole


def test_a_reader_that_is_closed_while_it_reads_closes_at_the_end(tmp_path: Path) -> None:
    """Else the number of the descriptor could belong to somebody else when it is read from."""
    with writer(tmp_path, JSON) as log:
        log.append(STDOUT, text(range(10)))
    reader = LogReader(tmp_path / "x.log", RAW)
    file = reader._file
    assert file is not None
    real = file.read

    def read_while_closing(size: int) -> bytes:
        reader.close()
        return real(size)

    file.read = read_while_closing  # type: ignore[method-assign]
    assert reader.batch() == text(range(10))
    assert reader._file is None
    assert reader.batch() == b""

"""The spool and what feeds it."""

import os

import pytest

from knarr.supervisor.source import PipeSource, TerminalSource
from knarr.supervisor.spool import CHUNK, Spool


def test_bytes_are_in_the_pipe_or_in_the_file(tmp_path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    out, into = os.pipe()
    with pytest.raises(BlockingIOError):
        spool.fill(out)
    os.write(into, b"hello ")
    assert spool.fill(out) == 6
    os.write(into, b"world")
    os.close(into)
    assert spool.fill(out) == 5
    assert spool.fill(out) == 0
    assert spool.read(0, 11) == b"hello world"
    assert spool.read(3, 8) == b"lo wo"
    spool.close()
    again = Spool(str(tmp_path / "spool"))
    again.recover()
    assert again.end == 11
    assert again.read(6, 11) == b"world"
    again.close()
    os.close(out)


def test_what_all_have_read_is_given_back(tmp_path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    out, into = os.pipe()
    for number in range(100):
        os.write(into, bytes([number]) * 40_000)
        spool.fill(out)
        spool.trim(spool.end - 10)
    assert spool.end == 4_000_000
    assert spool.read(spool.end - 10, spool.end) == bytes([99]) * 10
    assert (tmp_path / "spool").stat().st_blocks * 512 < CHUNK + 100_000
    spool.close()
    os.close(out)
    os.close(into)


def test_a_terminal_comes_through_its_relay(tmp_path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    master, slave = os.openpty()
    os.set_blocking(master, False)
    relay, into = os.pipe()
    os.write(into, b"left ")  # by a supervisor that was killed
    os.close(into)
    source = TerminalSource(master, relay)
    os.write(slave, b"line\n")
    assert source.move(spool) == 5
    assert source.move(spool) == 6
    with pytest.raises(BlockingIOError):
        source.move(spool)
    os.write(slave, b"last")
    os.close(slave)
    assert source.move(spool) == 4
    assert source.move(spool) == 0
    assert spool.read(0, spool.end) == b"left line\r\nlast"
    source.close()
    spool.close()


def test_sources_name_what_the_engine_holds(tmp_path) -> None:
    out, into = os.pipe()
    assert PipeSource("stderr", out).handles == {"stderr": out}
    os.close(out)
    os.close(into)

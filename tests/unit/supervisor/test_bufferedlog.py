"""A log in non-blocking mode: its container never waits, and what is dropped is whole lines."""

import json
import threading
import time

from knarr.supervisor.bufferedlog import BufferedLog
from knarr.supervisor.containerlog import STDERR, STDOUT, ContainerLog
from knarr.supervisor.messages import LogConfig
from knarr.supervisor.spool import Spool


class Slow:
    """A log whose disk stands still until ``go``."""

    def __init__(self, folder) -> None:
        self.log = ContainerLog(LogConfig(str(folder / "log")), str(folder / "journal"), [].append)
        self.go = threading.Event()
        real = self.log._files.append

        def append(data: bytes) -> None:
            assert self.go.wait(20)
            real(data)

        self.log._files.append = append


def lines(folder, stream: str = "stdout") -> list[str]:
    entries = map(json.loads, (folder / "log").read_text().splitlines())
    return [each["log"] for each in entries if each["stream"] == stream]


def test_all_lines_arrive_when_the_disk_keeps_up(tmp_path) -> None:
    slow = Slow(tmp_path)
    slow.go.set()
    log = BufferedLog(slow.log, 1 << 20, [].append)
    data = b"".join(b"line %d\n" % n for n in range(2000))
    for start in range(0, len(data), 1000):
        log.append(STDOUT, data[log.logged(STDOUT) : start + 1000])
    log.append(STDERR, b"unfinished", final=True)
    assert log.logged(STDERR) == 10
    log.append(STDOUT, data[log.logged(STDOUT) :], final=True)
    log.close()
    assert "".join(lines(tmp_path)).encode() == data
    assert lines(tmp_path, "stderr") == ["unfinished"]
    assert log.dropped == 0


def test_a_disk_that_stands_still_costs_whole_lines_and_no_time(tmp_path) -> None:
    said: list[str] = []
    slow = Slow(tmp_path)
    log = BufferedLog(slow.log, 5000, said.append)
    fed = 0
    for number in range(2000):
        line = b"line %d\n" % number
        log.append(STDOUT, line)
        fed += len(line)
        assert log.logged(STDOUT) == fed  # taken at once, whatever became of it
    assert log.dropped > 5000
    assert log.kept(STDOUT) == fed  # so much was dropped that the spool is given back
    slow.go.set()
    log.close()
    found = lines(tmp_path)
    assert 100 < len(found) < 1500
    assert found == [f"line {n}\n" for n in range(len(found))]
    assert "were dropped" in said[-1]


def test_the_spool_keeps_what_waits(tmp_path) -> None:
    slow = Slow(tmp_path)
    log = BufferedLog(slow.log, 5000, [].append)
    log.append(STDOUT, b"one\n")
    log.append(STDOUT, b"two\n")
    assert (log.logged(STDOUT), log.kept(STDOUT)) == (8, 0)
    slow.go.set()
    deadline = time.monotonic() + 20
    while log.kept(STDOUT) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    log.close()


def test_after_a_kill_what_was_given_back_is_left_out_by_whole_lines(tmp_path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    data = b"".join(b"line %08d\n" % n for n in range(20_000))
    (tmp_path / "spool").write_bytes(data)
    spool.recover()
    assert spool.line_from(0) == 0
    spool.trim(140_001)
    start = spool.line_from(50)
    assert 131_072 < start < 140_001  # the first line of the first page that is still there
    assert data[start - 1 : start + 4] == b"\nline"
    assert spool.line_from(start) == start
    assert spool.line_from(len(data)) == len(data)
    spool.close()

"""The log of a container, killed at every step and emptied by others."""

import json
import os
import random

import pytest

from knarr.supervisor import blocklog
from knarr.supervisor.containerlog import STDERR, STDOUT, ContainerLog
from knarr.supervisor.messages import BLOCKS, JSON, LogConfig


def make(folder, max_size: int = -1, form: str = JSON) -> ContainerLog:
    config = LogConfig(str(folder / "log"), max_size, 1000, form=form)
    return ContainerLog(config, str(folder / "journal"), [].append)


def logged(folder, form: str = JSON) -> list[tuple[str, str]]:
    names = sorted(folder.glob("log.*"), key=lambda p: -int(p.suffix[1:]))
    data = b"".join(path.read_bytes() for path in [*names, folder / "log"])
    if form == JSON:
        return [(each["stream"], each["log"]) for each in map(json.loads, data.splitlines())]
    found, position = [], 0
    while position < len(data):
        block = blocklog.parse(data, position)
        assert block is not None, "a torn block"
        found.append(("stdout" if block.stream == STDOUT else "stderr", block.data.decode()))
        position += block.size
    return found


class Killed(BaseException):
    pass


class KillAt:
    """Lets the n-th system call of the log fail for ever, as if the process had died there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, chance: random.Random) -> None:
        self.left = number
        self.chance = chance
        for name in ("write", "pwrite", "rename", "unlink", "open", "ftruncate"):
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name: str, call):
        def counted(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            if self.left == 0 and name == "write":
                call(args[0], args[1][: self.chance.randrange(len(args[1]))])
                raise Killed
            return call(*args, **kwargs)

        return counted


@pytest.mark.parametrize("form", [JSON, BLOCKS])
@pytest.mark.parametrize("max_size", [-1, 400])
def test_killed_at_any_call_it_goes_on_without_loss_or_doubling(
    tmp_path, max_size: int, form: str
) -> None:
    """The spools are simulated: they keep everything."""
    chance = random.Random(7)
    spools = {STDOUT: b"", STDERR: b""}
    for number in range(300):
        spools[chance.choice((STDOUT, STDERR))] += b"%d\n" % number * chance.randrange(1, 4)
    fed = dict.fromkeys(spools, 0)
    kills = 0
    while any(fed[stream] < len(spools[stream]) for stream in spools):
        with pytest.MonkeyPatch.context() as patch:
            log = make(tmp_path, max_size, form)
            KillAt(patch, chance.randrange(40), chance)
            try:
                log.recover()
                while any(log.logged(s) < len(spools[s]) for s in spools):
                    stream = chance.choice((STDOUT, STDERR))
                    fed[stream] = min(len(spools[stream]), fed[stream] + chance.randrange(30))
                    start = log.logged(stream)
                    final = fed[stream] == len(spools[stream])
                    log.append(stream, spools[stream][start : fed[stream]], final=final)
            except Killed:
                kills += 1
        log.close()
    log = make(tmp_path, max_size, form)
    log.recover()
    for stream, data in spools.items():
        log.append(stream, data[log.logged(stream) :], final=True)
        assert log.logged(stream) == len(data)
    log.close()
    assert kills > 5
    for stream, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
        text = "".join(text for each, text in logged(tmp_path, form) if each == name)
        assert text.encode() == spools[stream]


def test_a_log_that_was_emptied_by_others_goes_on(tmp_path) -> None:
    log = make(tmp_path, max_size=10_000)
    log.append(STDOUT, b"before\n")
    os.truncate(tmp_path / "log", 0)
    log.append(STDOUT, b"after\n")
    log.close()
    assert logged(tmp_path) == [("stdout", "after\n")]


def test_a_log_that_was_removed_by_others_rotates_into_a_new_one(tmp_path) -> None:
    log = make(tmp_path, max_size=10)
    log.append(STDOUT, b"before\n")
    (tmp_path / "log").unlink()
    log.append(STDOUT, b"after\n")
    log.close()
    assert logged(tmp_path) == [("stdout", "after\n")]


def test_a_full_disk_drops_whole_entries_and_says_so(tmp_path) -> None:
    said: list[str] = []
    log = ContainerLog(LogConfig(str(tmp_path / "log")), str(tmp_path / "journal"), said.append)
    log.append(STDOUT, b"one\n")
    real = os.write

    def full(fd: int, data) -> int:
        real(fd, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", full)
        log.append(STDOUT, b"two\n")
    log.append(STDOUT, b"three\n")
    assert log.logged(STDOUT) == len(b"one\ntwo\nthree\n")
    log.close()
    assert logged(tmp_path) == [("stdout", "one\n"), ("stdout", "three\n")]
    assert len(said) == 1
    assert "No space left" in said[0]


def test_entries_go_into_the_file_where_they_fit(tmp_path) -> None:
    log = make(tmp_path, max_size=200)
    log.append(STDOUT, b"".join(b"%d\n" % n for n in range(50)))
    log.close()
    assert [text for _, text in logged(tmp_path)] == [f"{n}\n" for n in range(50)]
    sizes = [path.stat().st_size for path in tmp_path.glob("log.*")]
    assert len(sizes) > 10
    assert all(200 <= size < 290 for size in sizes)

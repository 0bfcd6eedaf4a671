"""Records on disk, ids that are no names, and exit codes."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knarr.errors import ConflictError, InvalidArgumentError
from knarr.supervisor import ending
from knarr.supervisor.messages import Exit, LogConfig
from knarr.supervisor.state import Record, Store


def test_records_survive(tmp_path) -> None:
    store = Store(str(tmp_path))
    record = Record(
        "c", "", "/b", pid=5, log=LogConfig("/l", attrs=(("a", "b"),)), pipes=(("stdout", 7),)
    )
    store.make(("c", ""))
    store.write(record)
    store.make(("c", "e"))
    store.write(Record("c", "e", pid=6))
    store.make(("half", ""))
    again = Store(str(tmp_path))
    assert list(again.records()) == [record, Record("c", "e", pid=6), Record("half", "")]
    ended = Exit("c", "", 3, oom_killed=False, finished_ns=4, error="")
    assert again.read_exit(("c", "")) is None
    again.write_exit(ended)
    assert again.read_exit(("c", "")) == ended
    with pytest.raises(ConflictError):
        again.make(("c", ""))
    again.remove(("c", ""))
    again.remove(("c", ""))
    assert [path.name for path in (tmp_path / "supervisor").iterdir()] == ["half"]


def test_a_record_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path) -> None:
    store = Store(str(tmp_path))
    store.make(("c", ""))
    store.write(Record("c", "", pid=5))
    path = tmp_path / "supervisor" / "c" / "state.json"
    path.write_text(path.read_text()[:-1] + ', {"new": 1}]')
    assert [record.pid for record in store.records()] == [5]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a" * 200, "-x", "a\0b", "a\n"])
def test_ids_that_are_no_names(tmp_path, name: str) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(InvalidArgumentError):
        store.folder((name, ""))
    if name:
        with pytest.raises(InvalidArgumentError):
            store.folder(("c", name))


def spawn(*args: str) -> tuple[int, int]:
    pid = os.posix_spawn(args[0], args, {}, setsigdef=[signal.SIGTERM])
    return pid, os.pidfd_open(pid)


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -TERM $$", 143), (":", 0)])
def test_the_code_of_a_child(script: str, code: int) -> None:
    pid, pidfd = spawn("/bin/sh", "-c", script)
    select.select([pidfd], [], [])
    assert ending.exit_code(pidfd, pid, 0) == code
    os.close(pidfd)


def test_a_child_that_runs_has_no_code() -> None:
    pid, pidfd = spawn("/bin/sleep", "100")
    with pytest.raises(BlockingIOError):
        ending.exit_code(pidfd, pid, 0)
    signal.pidfd_send_signal(pidfd, 9)
    select.select([pidfd], [], [])
    assert ending.exit_code(pidfd, pid, 0) == 137
    os.close(pidfd)


STRANGER = r"""
import os, sys
if os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.readline()
exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("script", "code"), [("os._exit(5)", 5), ("os.kill(os.getpid(), 9)", 137), ("os._exit(0)", 0)]
)
def test_the_code_of_a_process_that_is_nobodys_child(script: str, code: int) -> None:
    """Right after its end a zombie of init, and after a moment not even that."""
    if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 15):
        pytest.skip("the kernel does not keep exit codes for pidfds")
    process = subprocess.Popen(
        [sys.executable, "-ISc", STRANGER, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(process.stdout.readline())
    process.wait()
    pidfd = os.pidfd_open(pid)
    started = ending.start_time(pid)
    process.stdin.close()
    process.stdout.close()
    select.select([pidfd], [], [])
    assert ending.exit_code(pidfd, pid, started) == code
    # Until somebody has reaped it; then the kernel tells what it has kept.
    while Path(f"/proc/{pid}").exists():
        os.sched_yield()
    assert ending.exit_code(pidfd, pid, started) == code
    os.close(pidfd)
    assert ending.start_time(pid) is None

"""``kill -9`` of the engine and of the supervisor while containers run and write."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import probes
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

COUNTER = "i=0; while [ $i -lt {last} ]; do echo line $i; i=$((i+1)); {pause}; done; exit {code}"


def counting(last: int, pause: str = "usleep 2000", code: int = 7) -> list[str]:
    """A command that writes ``last`` numbered lines and exits with ``code``."""
    return ["busybox:latest", "sh", "-c", COUNTER.format(last=last, pause=pause, code=code)]


def expect_lines(text: str, last: int) -> None:
    """Every line once, whole, in order."""
    assert text.splitlines() == [f"line {i}" for i in range(last)]


def wait_for_lines(engine: Engine, container: str, count: int) -> None:
    """Wait until a container has logged at least this many lines."""
    deadline = time.monotonic() + 30
    while len(engine.knarr("logs", container).out.splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_engine_killed_while_a_container_writes(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "--network", "none", "--name", "writer", *counting(1500))
    wait_for_lines(engine, "writer", 100)
    engine.kill9()
    time.sleep(0.5)  # the container writes on without an engine
    engine.start()
    state = engine.get("/containers/writer/json")["State"]
    assert state["Running"]
    assert engine.knarr("exec", "writer", "echo", "hello").line == "hello"
    assert engine.knarr("wait", "writer").line == "7"
    expect_lines(engine.knarr("logs", "writer").out, 1500)


def test_exit_while_no_engine_runs_is_known_to_the_next(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "--network", "none", "--name", "brief", *counting(300))
    engine.knarr("run", "-d", "--rm", "--network", "none", "--name", "gone", *counting(100))
    engine.kill9()
    time.sleep(2.5)
    engine.start()
    state = engine.get("/containers/brief/json")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 7)
    expect_lines(engine.knarr("logs", "brief").out, 300)
    names = [item["Names"][0] for item in engine.get("/containers/json?all=1")]
    assert names == ["/brief"], "a container with --rm that ended meanwhile is removed"


def test_graceful_stop_leaves_containers_to_the_next_engine(
    make_engine: Callable[..., Engine],
) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "--network", "none", "--name", "long", "busybox", "sleep", "300")
    pid = engine.get("/containers/long/json")["State"]["Pid"]
    assert engine.terminate() == 0
    assert Path(f"/proc/{pid}").exists()
    engine.start()
    assert engine.get("/containers/long/json")["State"]["Pid"] == pid
    engine.knarr("stop", "-t", "1", "long")
    assert not Path(f"/proc/{pid}").exists()


def test_supervisor_killed_while_a_container_writes(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "--network", "none", "--name", "writer", *counting(1500, code=0))
    engine.knarr("run", "-d", "-i", "--network", "none", "--name", "cat", "busybox", "cat")
    wait_for_lines(engine, "writer", 100)
    before = engine.supervisor_pid()
    os.kill(before, signal.SIGKILL)
    assert engine.knarr("wait", "writer").code == 0
    assert engine.supervisor_pid() != before
    expect_lines(engine.knarr("logs", "writer").out, 1500)
    assert engine.get("/containers/cat/json")["State"]["Running"]
    assert engine.knarr("exec", "cat", "echo", "adopted").line == "adopted"
    engine.knarr("stop", "-t", "1", "cat")
    assert not engine.get("/containers/cat/json")["State"]["Running"]
    engine.knarr("rm", "cat", "writer")


def test_engine_and_supervisor_killed_at_once(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "--network", "none", "--name", "quiet", "busybox", "sleep", "300")
    pid = engine.get("/containers/quiet/json")["State"]["Pid"]
    os.kill(engine.supervisor_pid(), signal.SIGKILL)
    engine.kill9()
    engine.start()
    state = engine.get("/containers/quiet/json")["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    assert engine.knarr("exec", "quiet", "echo", "yes").line == "yes"
    engine.knarr("rm", "-f", "quiet")
    assert not running(pid)


def test_attach_works_after_the_engine_was_killed(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    engine.knarr("run", "-d", "-i", "--network", "none", "--name", "cat", "busybox", "cat")
    engine.kill9()
    engine.start()
    with client(engine, "attach", "cat") as attached:
        assert attached.stdin
        assert attached.stdout
        for word in (b"one\n", b"two\n"):
            attached.stdin.write(word)
            attached.stdin.flush()
            assert attached.stdout.readline() == word
        attached.kill()
    engine.knarr("rm", "-f", "cat")


def test_foreground_run_keeps_its_exit_code(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--network", "none", *counting(20), check=False)
    assert done.code == 7
    expect_lines(done.out, 20)


def test_fast_writer_loses_no_line(engine: Engine) -> None:
    script = "seq 1 200000"
    engine.knarr("run", "--name", "fast", "--network", "none", "-d", "busybox", "sh", "-c", script)
    engine.knarr("wait", "fast")
    out = engine.knarr("logs", "fast").out
    engine.knarr("rm", "fast")
    assert out == "".join(f"{i}\n" for i in range(1, 200001))


def test_client_that_goes_away_does_not_stop_the_container(engine: Engine) -> None:
    loop = "while :; do echo x; usleep 1000; done"
    command = ["run", "--rm", "--network", "none", "--name", "left", "busybox", "sh", "-c", loop]
    with client(engine, *command) as attached:
        assert attached.stdout
        assert attached.stdout.readline() == b"x\n"
        attached.kill()
    assert engine.get("/containers/left/json")["State"]["Running"]
    engine.knarr("rm", "-f", "left")


def client(engine: Engine, *args: str) -> subprocess.Popen[bytes]:
    """A docker command line that runs beside the test."""
    command = [probes.docker_cli() or "docker", *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=engine.client_env, stdin=pipe, stdout=pipe)


def running(pid: int) -> bool:
    """Whether the process is there and has not ended (its reaper may be the host's init)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

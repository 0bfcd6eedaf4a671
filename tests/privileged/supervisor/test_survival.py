"""Kill the engine, the supervisor, or both while containers write: nothing is lost or doubled."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from knarr.supervisor.client import ExecRequest, LogConfig

from .conftest import Bench, read_all, wait_for_end

PYTHON = (sys.executable, "-I", "-S", "-c")
# Numbered lines, in writes that do not end where lines end, for so many seconds.
WRITER = """
import os, sys, time
end = time.monotonic() + float(sys.argv[1])
number, rest = 0, b""
while time.monotonic() < end:
    block = rest + b"".join(b"%d:%s\\n" % (n, b"x" * (n % 97)) for n in range(number, number + 200))
    number += 200
    cut = len(block) - number % 61
    rest = block[cut:]
    view = memoryview(block)[:cut]
    while view:
        view = view[os.write(1, view):]
    if len(sys.argv) > 2:
        time.sleep(float(sys.argv[2]))
os.write(1, rest + b"last %d\\n" % number)
sys.exit(6)
"""


def check_lines(text: str) -> int:
    """Every line is there once and whole; the number of lines."""
    *lines, last = text.splitlines()
    for number, line in enumerate(lines):
        assert line == f"{number}:{'x' * (number % 97)}", (number, line)
    assert last == f"last {len(lines)}"
    return len(lines)


@pytest.mark.parametrize("pause", ["0", "0.001"])
def test_kill_the_supervisor_again_and_again(bench: Bench, pause: str) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        log = LogConfig(str(bench.log_path("c")), 3_000_000, 1000)
        await engine.start("c", *PYTHON, WRITER, "2.5", pause, log=log)
        kills = 0
        while not engine.exits and kills < 12:
            await asyncio.sleep(0.05 + kills % 5 * 0.037)
            await engine.kill_supervisor()
            await engine.recovered()
            kills += 1
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.error) == (6, "")
        assert kills > 3
        assert check_lines(bench.logged("c")) > 1000
        assert len(engine.exits) == 1
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "point",
    [
        "supervisor.log-announced:3",
        "supervisor.log-written:2",
        "supervisor.log-rotated:1",
        "supervisor.exit-known",
        "supervisor.exit-recorded",
    ],
)
def test_kill_at_a_point(bench: Bench, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first supervisor dies there, the next ones do not."""

    async def scenario() -> None:
        monkeypatch.setenv("KNARR_FAULT", point)
        engine = await bench.connect()
        monkeypatch.delenv("KNARR_FAULT")
        log = LogConfig(str(bench.log_path("c")), 100_000, 1000)
        await engine.start("c", *PYTHON, WRITER, "0.6", log=log)
        await engine.recovered()
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.error) == (6, "")
        check_lines(bench.logged("c"))
        assert len(engine.exits) == 1
        await engine.client.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("point", ["supervisor.start-recorded", "supervisor.spawned"])
def test_kill_while_starting(bench: Bench, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("KNARR_FAULT", point)
        engine = await bench.connect()
        monkeypatch.delenv("KNARR_FAULT")
        with pytest.raises(Exception, match="went away"):
            await engine.start("c", "/bin/sh", "-c", "exec sleep 0.2")
        await engine.recovered()
        assert await engine.client.list() == ()
        assert not list((bench.exec_root / "supervisor").iterdir())
        assert (await engine.run("c", "/bin/true")).exit_code == 0
        await engine.client.close()

    asyncio.run(scenario())


def test_kill_after_a_start_before_its_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("KNARR_FAULT", "supervisor.pid-recorded")
        engine = await bench.connect()
        monkeypatch.delenv("KNARR_FAULT")
        started = await engine.start("c", "/bin/sh", "-c", "sleep 1; echo x; exit 4")
        assert [state.pid for state in await engine.client.list()] == [started.pid]
        assert (await engine.ended("c")).exit_code == 4
        assert bench.logged("c") == "x\n"
        bench.pids.add(engine.client.pid)
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_an_adopted_process_takes_input_and_output_on(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        await engine.start("cat", "/bin/cat", open_stdin=True, stdin_once=True)
        await engine.start("tty", "/bin/sh", terminal=True, open_stdin=True)
        await engine.kill_supervisor()
        await engine.recovered()
        sock = await engine.client.attach("cat", stdin=True, stdout=True, stderr=True)
        await loop.sock_sendall(sock, b"through")
        sock.shutdown(1)
        assert await read_all(sock) == b"\1\0\0\0\0\0\0\7through"
        assert (await engine.ended("cat")).exit_code == 0
        sock.close()
        sock = await engine.client.attach("tty", stdin=True, stdout=True, stderr=True)
        await engine.client.resize("tty", None, 12, 34)
        await loop.sock_sendall(sock, b"stty size; exit 3\n")
        assert b"12 34\r\n" in await read_all(sock)
        assert (await engine.ended("tty")).exit_code == 3
        sock.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_an_exec_is_adopted_too(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", "/bin/sleep", "100")
        script = "import time; time.sleep(.8); print('x' * 100000); raise SystemExit(5)"
        await engine.client.exec(ExecRequest("c", "e", {"args": [*PYTHON, script]}))
        await engine.kill_supervisor()
        await engine.recovered()
        sock = await engine.client.attach("c", "e", stdin=False, stdout=True, stderr=True)
        assert len(await read_all(sock)) > 100_000
        sock.close()
        assert (await engine.ended("c", "e")).exit_code == 5
        await engine.client.kill("c", 9)
        await engine.ended("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_a_process_that_ends_while_no_supervisor_runs_keeps_its_code(bench: Bench) -> None:
    """Needs Linux 6.15 or an init that reaps late; here the pidfd of the engine tells."""

    async def scenario() -> None:
        engine = await bench.connect()
        started = await engine.start("c", *PYTHON, WRITER, "0.3", "0.01")
        engine.client._leaving = True  # so that nobody starts the next one
        await engine.kill_supervisor()
        assert wait_for_end(started.pid, 5)
        engine.client._leaving = False
        engine.client._connected.set()
        engine.client._lost()
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.error) == (6, "")
        check_lines(bench.logged("c"))
        await engine.client.close()

    if os.uname().release.split(".")[:2] < ["6", "15"]:
        pytest.skip("the kernel does not keep exit codes for pidfds")
    asyncio.run(scenario())


ENGINE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from knarr.supervisor.client import *

async def main():
    root = Path(sys.argv[2])
    client = await SupervisorClient.ensure(root / "run", command=tuple(sys.argv[4:]))
    log = LogConfig(str(root / "c-json.log"))
    started = await client.start(StartRequest("c", sys.argv[3], log=log))
    print(client.pid, started.pid, flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


async def other_engine(bench: Bench, bundle: str) -> tuple[asyncio.subprocess.Process, int, int]:
    """An engine in a process of its own, which has started the container ``c``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENGINE, "", str(bench.root), bundle, *bench.command,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    supervisor, container = map(int, (await process.stdout.readline()).split())
    bench.pids.add(supervisor)
    bench.containers.add(container)
    return process, supervisor, container


def test_kill_the_engine(bench: Bench) -> None:
    async def scenario() -> None:
        bundle = bench.bundle("c", *PYTHON, WRITER, "1", "0.002")
        process, supervisor, container = await other_engine(bench, bundle)
        process.kill()
        await process.wait()
        engine = await bench.connect()
        assert engine.client.pid == supervisor
        assert [(s.id, s.pid, s.exit) for s in await engine.client.list()] == [
            ("c", container, None)
        ]
        assert (await engine.ended("c")).exit_code == 6
        check_lines(bench.logged("c"))
        await engine.client.close()

    asyncio.run(scenario())


def test_kill_engine_and_supervisor(bench: Bench) -> None:
    """The pipes are found again through /proc; the code only if the process still runs then."""

    async def scenario() -> None:
        bundle = bench.bundle("c", *PYTHON, WRITER, "2.5", "0.01")
        process, supervisor, container = await other_engine(bench, bundle)
        await asyncio.sleep(0.3)
        # Stopped, it cannot find its output broken before the next supervisor has it.
        os.kill(container, signal.SIGSTOP)
        process.kill()
        os.kill(supervisor, signal.SIGKILL)
        await process.wait()
        engine = await bench.connect()
        assert engine.client.pid != supervisor
        os.kill(container, signal.SIGCONT)
        assert (await engine.ended("c")).exit_code == 6
        check_lines(bench.logged("c"))
        await engine.client.close()

    asyncio.run(scenario())


def test_an_exit_without_engine_is_told_once_to_each_engine(bench: Bench) -> None:
    async def scenario() -> None:
        bundle = bench.bundle("c", "/bin/sh", "-c", "sleep 0.2; exit 3")
        process, supervisor, _ = await other_engine(bench, bundle)
        process.kill()
        await process.wait()
        assert wait_for_end(supervisor, 5)  # nothing is left to do for it
        first = await bench.connect()
        assert (await first.ended("c")).exit_code == 3
        await first.kill_supervisor()
        await first.recovered()
        await first.client.close()
        assert len(first.exits) == 1
        second = await bench.connect()
        assert (await second.ended("c")).exit_code == 3
        await second.client.delete("c")
        await second.client.close()
        third = await bench.connect()
        await asyncio.sleep(0.05)
        assert third.exits == []
        await third.client.close()

    asyncio.run(scenario())


def test_pids_that_are_used_again_are_not_adopted(bench: Bench) -> None:
    async def scenario() -> None:
        bundle = bench.bundle("c", "/bin/sleep", "100")
        process, supervisor, container = await other_engine(bench, bundle)
        for pid in (process.pid, supervisor, container):
            os.kill(pid, signal.SIGKILL)
        await process.wait()
        path = bench.exec_root / "supervisor" / "c" / "state.json"
        record = json.loads(path.read_text())
        record[record.index(container)] = os.getpid()
        path.write_text(json.dumps(record))
        engine = await bench.connect()
        ended = await engine.ended("c")
        assert ended.exit_code == 137
        assert "no supervisor" in ended.error
        await engine.client.close()

    asyncio.run(scenario())


def test_one_supervisor_for_each_exec_root(bench: Bench) -> None:
    async def scenario() -> None:
        first, second = await asyncio.gather(bench.connect(), bench.connect())
        assert first.client.pid == second.client.pid
        await first.run("c", "/bin/true")
        await second.ended("c")
        await first.client.close()
        await second.client.close()

    asyncio.run(scenario())


def test_it_ignores_polite_signals_and_ends_when_asked(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", "/bin/sleep", "100")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(engine.client.pid, number)
        with pytest.raises(Exception, match="while containers run"):
            await engine.client.shutdown()
        assert os.getsid(engine.client.pid) == engine.client.pid
        await engine.client.kill("c", 9)
        await engine.ended("c")
        await engine.client.shutdown()
        assert wait_for_end(engine.client.pid, 5)
        await engine.client.close()
        assert not (bench.exec_root / "supervisor.sock").exists()

    asyncio.run(scenario())


def test_many_starts_at_once_leak_nothing(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        await engine.run("warm", "/bin/true")
        await engine.client.delete("warm")
        folder = Path(f"/proc/{engine.client.pid}/fd")
        before = sorted(map(os.readlink, folder.iterdir()))
        own = len(list(Path("/proc/self/fd").iterdir()))
        names = [f"c{n}" for n in range(100)]

        async def one(name: str) -> None:
            sock = await engine.client.attach(name, stdin=True, stdout=True, stderr=True)
            options = {"terminal": True} if name.endswith("3") else {}
            await engine.start(name, "/bin/sh", "-c", "echo x", open_stdin=True, **options)
            assert await read_all(sock)
            sock.close()
            await engine.ended(name)
            await engine.client.delete(name)

        await asyncio.gather(*map(one, names))
        after = sorted(map(os.readlink, folder.iterdir()))
        assert len(after) == len(before), set(after) ^ set(before)
        assert len(list(Path("/proc/self/fd").iterdir())) == own
        assert not list((bench.exec_root / "supervisor").iterdir())
        await engine.client.close()

    asyncio.run(scenario())


def test_requests_wait_for_the_next_supervisor(bench: Bench) -> None:
    """Requests that come while the next supervisor is being started wait for it."""

    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", "/bin/sleep", "100")
        await engine.kill_supervisor()
        await asyncio.sleep(0.01)
        states = await engine.client.list()
        bench.pids.add(engine.client.pid)
        assert [state.id for state in states] == ["c"]
        await engine.client.kill("c", 9)
        assert (await engine.ended("c")).exit_code == 137
        await engine.client.close()

    asyncio.run(scenario())

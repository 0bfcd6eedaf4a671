"""The supervisor program with knarr's own runtime: real containers, real cgroups."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.mount import Mount
from knarr.runtime.cgroups import Cgroup, detect
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from knarr.supervisor.client import ExecRequest, LogConfig, StartRequest
from support import boxes

from .conftest import Bench, Engine, frames, read_all

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]
MAIN = (sys.executable, "-I", "-m", "knarr.supervisor.main", "--idle-seconds", "0.3")
COUNTER = "i=0; while [ $i -lt {0} ]; do echo $i; i=$((i+1)); done; exit 6"


class Containers(Bench):
    """Bundles over the busybox image."""

    def __init__(self, root: Path, lower: Path) -> None:
        super().__init__(root, MAIN)
        self.lower = lower
        self.parent = f"/knarr-supervisor-{os.getpid()}"

    def request(self, name: str, *args: str, **options) -> StartRequest:
        folder = self.root / "bundles" / name
        for each in ("rootfs", "upper", "work"):
            (folder / each).mkdir(parents=True, exist_ok=True)
        spec = boxes.default_spec()
        spec["process"]["args"] = list(args)
        spec["process"]["terminal"] = options.get("terminal", False)
        if size := options.get("console_size"):
            spec["process"]["consoleSize"] = {"height": size[0], "width": size[1]}
        spec["linux"]["cgroupsPath"] = f"{self.parent}/{name}"
        spec["linux"]["resources"] = options.pop("resources", {})
        for kind in options.pop("shared", ()):
            spec["linux"]["namespaces"].remove({"type": kind})
        (folder / "config.json").write_text(json.dumps(spec))
        mount = Mount(
            "overlay",
            lower=(str(self.lower),),
            upper=str(folder / "upper"),
            work=str(folder / "work"),
        )
        log = LogConfig(str(self.log_path(name)))
        return StartRequest(name, str(folder), (mount,), log=log, **options)

    async def start(self, engine: Engine, name: str, *args: str, **options) -> int:
        started = await engine.client.start(self.request(name, *args, **options))
        self.containers.add(started.pid)
        return started.pid

    def end(self) -> None:
        super().end()
        layout = detect()
        points = set(filter(None, (layout.unified, *layout.legacy.values())))
        left = {path.name for point in points for path in Path(point + self.parent).glob("*/")}
        for name in left:
            Cgroup(f"{self.parent}/{name}", layout).remove()
        Cgroup(self.parent, layout).remove()
        assert not left, f"cgroups are left: {left}"


@pytest.fixture(scope="module")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return boxes.unpack_busybox(tmp_path_factory.mktemp("busybox"))


@pytest.fixture
def containers(tmp_path: Path, lower: Path) -> Iterator[Containers]:
    made = Containers(tmp_path, lower)
    yield made
    made.end()


def test_from_start_to_delete(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        exe = Path(f"/proc/{engine.client.pid}/exe").readlink()
        assert str(exe).startswith("/memfd:")
        assert Path(f"/proc/{engine.client.pid}/comm").read_text() == "knarr-superviso\n"
        sock = await engine.client.attach("c", stdin=True, stdout=True, stderr=True)
        script = "hostname; cat; sleep 0.1; exit 3"
        options = {"open_stdin": True, "stdin_once": True}
        await containers.start(engine, "c", "sh", "-c", script, **options)
        await asyncio.get_running_loop().sock_sendall(sock, b"input\n")
        sock.shutdown(1)
        assert frames(await read_all(sock)) == {1: b"box\ninput\n"}
        sock.close()
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.oom_killed, ended.error) == (3, False, "")
        assert containers.logged("c") == "box\ninput\n"
        await engine.client.delete("c")
        await engine.client.delete("c")
        assert not list((containers.exec_root / "runtime").glob("*"))
        assert not list((containers.exec_root / "supervisor").iterdir())
        await engine.client.close()

    asyncio.run(scenario())


def test_a_terminal_in_a_container(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        sock = await engine.client.attach("c", stdin=True, stdout=True, stderr=True)
        options = {"terminal": True, "open_stdin": True, "console_size": (21, 43)}
        await containers.start(engine, "c", "sh", "-c", "tty; stty size; read x", **options)
        await asyncio.get_running_loop().sock_sendall(sock, b"x\n")
        text = await read_all(sock)
        assert b"/dev/pts/0\r\n21 43\r\n" in text
        sock.close()
        await engine.ended("c")
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_programs_that_cannot_be_run_leave_nothing(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        with pytest.raises(CommandNotFoundError, match="executable file not found in \\$PATH"):
            await containers.start(engine, "c", "nothing-like-that")
        with pytest.raises(CommandNotExecutableError):
            await containers.start(engine, "c", "/etc/passwd")
        assert await engine.client.list() == ()
        assert not list((containers.exec_root / "runtime").glob("*"))
        assert not list((containers.exec_root / "supervisor").iterdir())
        await engine.client.close()

    asyncio.run(scenario())


def test_out_of_memory_is_told(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        resources = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
        await containers.start(
            engine, "c", "sh", "-c", "exec tail -c 100000000 /dev/zero", resources=resources
        )
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.oom_killed) == (137, True)
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_with_the_pids_of_the_host_the_rest_is_killed(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        script = "(trap '' TERM; sleep 1000) & echo $!; exit 4"
        await containers.start(engine, "c", "sh", "-c", script, shared=["pid"])
        assert (await engine.ended("c", seconds=10)).exit_code == 4
        left = int(containers.logged("c"))
        await engine.client.delete("c")
        with contextlib.suppress(FileNotFoundError):
            assert "\nState:\tZ" in Path(f"/proc/{left}/status").read_text()
        await engine.client.close()

    asyncio.run(scenario())


def test_exec_and_freeze(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        await containers.start(engine, "c", "sleep", "1000")
        sock = await engine.client.attach("c", "e", stdin=False, stdout=True, stderr=True)
        process = {**boxes.default_spec()["process"], "args": ["sh", "-c", "hostname; exit 2"]}
        await engine.client.pause("c")
        await engine.client.resume("c")
        await engine.client.exec(ExecRequest("c", "e", process))
        assert frames(await read_all(sock)) == {1: b"box\n"}
        assert (await engine.ended("c", "e")).exit_code == 2
        sock.close()
        with pytest.raises(CommandNotFoundError):
            await engine.client.exec(ExecRequest("c", "f", {**process, "args": ["nothing"]}))
        await engine.client.kill("c", 9)
        assert (await engine.ended("c")).exit_code == 137
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_containers_survive_the_supervisor(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()
        pid = await containers.start(engine, "c", "sh", "-c", COUNTER.format(300_000))
        own = Path("/proc/self/cgroup").read_text()
        assert Path(f"/proc/{engine.client.pid}/cgroup").read_text() == own
        for _ in range(3):
            await asyncio.sleep(0.1)
            await engine.kill_supervisor()
            await engine.recovered()
            assert [state.pid for state in await engine.client.list()] == [pid]
        ended = await engine.ended("c")
        assert (ended.exit_code, ended.error) == (6, "")
        assert containers.logged("c") == "".join(f"{n}\n" for n in range(300_000))
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "point", ["supervisor.start-recorded", "supervisor.spawned", "supervisor.exit-known"]
)
def test_kill_at_a_point(
    containers: Containers, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that was under way is undone, cgroup included; an exit that was not told is told."""

    async def scenario() -> None:
        monkeypatch.setenv("KNARR_FAULT", point)
        engine = await containers.connect()
        monkeypatch.delenv("KNARR_FAULT")
        with contextlib.suppress(Exception):
            await containers.start(engine, "c", "sh", "-c", "sleep 0.1; exit 9")
        await engine.recovered()
        if point == "supervisor.exit-known":
            assert (await engine.ended("c")).exit_code == 9
            await engine.client.delete("c")
        assert await engine.client.list() == ()
        assert not list((containers.exec_root / "runtime").glob("*"))
        assert not list((containers.exec_root / "supervisor").iterdir())
        if point == "supervisor.exit-known":
            engine.exits.clear()
        await containers.start(engine, "c", "true")
        await engine.ended("c")
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_idle_containers_cost_little(containers: Containers) -> None:
    async def scenario() -> None:
        engine = await containers.connect()

        def memory() -> int:
            text = Path(f"/proc/{engine.client.pid}/smaps_rollup").read_text()
            return next(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")

        names = [f"c{number}" for number in range(20)]
        await containers.start(engine, "warm", "true")
        await engine.ended("warm")
        await engine.client.delete("warm")
        before = memory()
        for name in names:
            await containers.start(engine, name, "sh", "-c", "echo up; exec sleep 1000")
        grown = memory() - before
        for name in names:
            await engine.client.kill(name, 9)
            await engine.ended(name)
            await engine.client.delete(name)
        assert before < 16_000
        assert grown < 50 * len(names)
        await engine.client.close()

    asyncio.run(scenario())

"""A supervisor process of the test's own, its client, and bundles for it."""

import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knarr.supervisor.client import Exit, LogConfig, Started, StartRequest, SupervisorClient
from support import leaks

FAKE = (sys.executable, "-I", str(Path(__file__).with_name("fake_supervisor.py")))
IDLE = ("--idle-seconds", "0.3")


class Bench:
    """Clients of one exec-root, and what they were told."""

    def __init__(self, root: Path, command: tuple[str, ...] = (*FAKE, *IDLE)) -> None:
        self.root = root
        self.exec_root = root / "run"
        self.command = command
        self.pids: set[int] = set()
        self.containers: set[int] = set()

    async def connect(self, cls: type[SupervisorClient] = SupervisorClient) -> "Engine":
        client = await cls.ensure(self.exec_root, command=self.command)
        self.pids.add(client.pid)
        return Engine(self, client)

    def bundle(self, name: str, *args: str, terminal: bool = False, private: bool = True) -> str:
        folder = self.root / "bundles" / name
        folder.mkdir(parents=True, exist_ok=True)
        spec = {
            "process": {"args": list(args), "terminal": terminal},
            "linux": {"namespaces": [{"type": "pid"}] if private else []},
        }
        (folder / "config.json").write_text(json.dumps(spec))
        return str(folder)

    def log_path(self, name: str) -> Path:
        return self.root / f"{name}-json.log"

    def logged(self, name: str, stream: str = "stdout") -> str:
        """All that the log holds, rotated files first."""
        path = self.log_path(name)
        rotated = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: -int(p.suffix[1:]))
        text = "".join(each.read_text() for each in [*rotated, path])
        entries = [json.loads(line) for line in text.splitlines()]
        return "".join(each["log"] for each in entries if each["stream"] == stream)

    def end(self) -> None:
        for pid in self.containers | self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                wait_for_end(pid, 5)
        # One that found another serving is about to end by itself.
        deadline = time.monotonic() + 5
        while leaks.processes(self.exec_root) and time.monotonic() < deadline:
            time.sleep(0.02)
        log = self.exec_root / "supervisor.log"
        said = log.read_text() if log.exists() else ""
        assert "Traceback" not in said, said


class Engine:
    """One client, as an engine would use it."""

    def __init__(self, bench: Bench, client: SupervisorClient) -> None:
        self.bench = bench
        self.client = client
        self.exits: list[Exit] = []
        self._changed = asyncio.Event()
        self._supervisor = client.pid
        client.on_exit(self._exited)

    def _exited(self, ended: Exit) -> None:
        self.exits.append(ended)
        self._changed.set()

    async def start(self, name: str, *args: str, **options) -> Started:
        private = options.pop("private", True)
        log = options.pop("log", LogConfig(str(self.bench.log_path(name))))
        terminal = options.get("terminal", False)
        bundle = self.bench.bundle(name, *args, terminal=terminal, private=private)
        started = await self.client.start(StartRequest(name, bundle, log=log, **options))
        self.bench.containers.add(started.pid)
        return started

    async def ended(self, name: str, exec_id: str = "", seconds: float = 20) -> Exit:
        async with asyncio.timeout(seconds):
            while True:
                for each in self.exits:
                    if (each.id, each.exec_id) == (name, exec_id):
                        return each
                self._changed.clear()
                await self._changed.wait()

    async def run(self, name: str, *args: str, **options) -> Exit:
        await self.start(name, *args, **options)
        return await self.ended(name)

    async def kill_supervisor(self) -> None:
        os.kill(self.client.pid, signal.SIGKILL)

    async def recovered(self, seconds: float = 20) -> None:
        """Wait until the client has the next supervisor."""
        async with asyncio.timeout(seconds):
            while self.client.pid == self._supervisor or not self.client._connected.is_set():
                await asyncio.sleep(0.01)
        self._supervisor = self.client.pid
        self.bench.pids.add(self.client.pid)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Whether the process ends (it may stay a zombie of init) in this time."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)


async def read_all(sock, seconds: float = 20) -> bytes:
    """All until the other side closes."""
    data = b""
    async with asyncio.timeout(seconds):
        while block := await asyncio.get_running_loop().sock_recv(sock, 65536):
            data += block
    return data


def frames(data: bytes) -> dict[int, bytes]:
    """The content of stdcopy frames by stream."""
    found: dict[int, bytes] = {}
    while data:
        stream, length = data[0], int.from_bytes(data[4:8], "big")
        assert data[1:4] == b"\0\0\0"
        assert len(data) >= 8 + length
        found[stream] = found.get(stream, b"") + data[8 : 8 + length]
        data = data[8 + length :]
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.end()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(command: tuple[str, ...], name: str = "other") -> Bench:
        made.append(Bench(tmp_path / name, command))
        made[-1].root.mkdir()
        return made[-1]

    yield make
    for each in made:
        each.end()

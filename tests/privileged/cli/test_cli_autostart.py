"""The engine that starts by itself, in a mount namespace where the default places are empty."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import KNARR

PREPARE = """
mount --make-rprivate /
for place in /run /var/lib/knarr /var/log; do
    mkdir -p $place && mount -t tmpfs none $place
done
exec sleep 1000
"""


class Room:
    """A mount namespace, held by a process that sleeps in it."""

    def __init__(self) -> None:
        self._existed = Path("/var/lib/knarr").exists()
        self._holder = subprocess.Popen(["unshare", "-m", "sh", "-ec", PREPARE])
        deadline = time.monotonic() + 20
        while Path(f"/proc/{self._holder.pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def start(
        self, *arguments: str, cwd: str = "/tmp", program: list[str] = KNARR
    ) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "KNARR_"))}
        command = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wd={cwd}"]
        return subprocess.Popen(
            [*command, *program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=kept,
        )

    def run(self, *arguments: str, cwd: str = "/tmp") -> tuple[int, str, str]:
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def path(self, path: str) -> Path:
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def processes(self) -> list[int]:
        """Everything that runs in this namespace, without the holder."""
        here = Path(f"/proc/{self._holder.pid}/ns/mnt").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self._holder.pid:
                continue
            try:
                if (entry / "ns/mnt").readlink() == here:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def close(self) -> None:
        deadline = time.monotonic() + 20
        while found := self.processes():
            for pid in found:
                os.kill(pid, signal.SIGKILL if time.monotonic() > deadline - 10 else signal.SIGTERM)
            assert time.monotonic() < deadline, f"{found} do not end"
            time.sleep(0.1)
        self._holder.kill()
        self._holder.wait()
        for group in Path("/sys/fs/cgroup").glob("*/knarr"):
            with contextlib.suppress(OSError):  # another engine's containers are in it
                group.rmdir()
        if not self._existed:
            shutil.rmtree("/var/lib/knarr", ignore_errors=True)


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


def test_the_first_command_starts_an_engine(room: Room, tmp_path: Path) -> None:
    code, out, err = room.run("run", "--rm", "--network", "none", "hello", cwd=str(tmp_path))
    assert (code, err) == (0, "")
    assert "Hello from knarr!" in out
    pid = int(room.path("/run/knarr/knarr.pid").read_text())
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert "is ready on unix:///run/knarr/knarr.sock" in room.path("/var/log/knarr.log").read_text()
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert room.run("ps", "-q") == (0, "", "")
    assert int(room.path("/run/knarr/knarr.pid").read_text()) == pid


def test_commands_at_the_same_time_share_one_engine(room: Room) -> None:
    processes = [room.start("images", "-q") for _ in range(4)]
    outcomes = [(process.communicate(timeout=90), process.returncode) for process in processes]
    assert [code for _, code in outcomes] == [0] * 4, outcomes
    ready = room.path("/var/log/knarr.log").read_text().count("is ready on")
    assert ready == 1


def test_an_engine_that_cannot_start(room: Room) -> None:
    room.path("/var/lib/knarr/engine.lock").mkdir()
    code, out, err = room.run("ps")
    assert (code, out) == (1, "")
    assert err == "the engine ended while it started; its log is /var/log/knarr.log\n"


def test_a_named_engine_is_never_started(room: Room) -> None:
    code, out, err = room.run("-H", "unix:///run/knarr/knarr.sock", "ps")
    assert (code, out) == (1, "")
    assert err == (
        "Cannot connect to the knarr engine at unix:///run/knarr/knarr.sock. Is it running?\n"
    )
    assert room.processes() == []


LIBRARY = """
import asyncio, knarr

try:
    knarr.connect()
except knarr.NoEngineError as error:
    print(error.hint)
with knarr.connect(start=True) as engine:
    print(engine.containers.run_to_end("hello", network="none").exit_code)

async def main():
    async with knarr.connect_async(start=True) as engine:
        print((await engine.ping()).os_type)

asyncio.run(main())
"""


def test_the_library_starts_an_engine_only_when_it_is_asked_to(room: Room) -> None:
    process = room.start("-c", LIBRARY, program=[sys.executable])
    out, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (0, "")
    hint = 'start one with "knarr daemon" as root, or connect with start=True'
    assert out.splitlines() == [hint, "0", "linux"]
    assert room.path("/var/log/knarr.log").read_text().count("is ready on") == 1

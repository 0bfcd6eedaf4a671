"""Log drivers in a real supervisor, which is killed while containers write."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.containers.logs import LogReader, Selection
from knarr.supervisor.client import LogConfig
from knarr.supervisor.messages import BLOCKS, JSON

from .conftest import Bench
from .test_survival import PYTHON, WRITER, check_lines


def logged(path: Path, form: str) -> str:
    with contextlib.closing(LogReader(path, Selection(framed=False), form)) as reader:
        out = b""
        while chunk := reader.batch():
            out += chunk
        return out.decode()


@pytest.mark.parametrize(
    "log",
    [
        LogConfig("", 1_000_000, 1000, form=BLOCKS, compress=True),
        LogConfig("", 1_000_000, 1000, form=JSON, compress=True),
        LogConfig("", 1_000_000, 1000, form=BLOCKS, buffer=64 << 20),
    ],
    ids=["blocks", "json", "non-blocking"],
)
def test_kill_the_supervisor_again_and_again(bench: Bench, log: LogConfig) -> None:
    path = bench.log_path("c")

    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", *PYTHON, WRITER, "1.5", "0.001", log=log._replace(path=str(path)))
        kills = 0
        while not engine.exits and kills < 8:
            await asyncio.sleep(0.05 + kills % 5 * 0.037)
            await engine.kill_supervisor()
            await engine.recovered()
            kills += 1
        ended = await engine.ended("c", seconds=60)
        assert (ended.exit_code, ended.error) == (6, "")
        assert kills > 3
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())
    assert check_lines(logged(path, log.form)) > 1000


class Collector:
    """A TCP server that keeps all that it is sent, by connection."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.parts: list[bytearray] = []
        self.peers: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer = self.server.accept()[0]
                part = bytearray()
                self.parts.append(part)
                self.peers.append(peer)
                threading.Thread(target=self._read, args=(peer, part), daemon=True).start()

    def _read(self, peer: socket.socket, part: bytearray) -> None:
        with contextlib.suppress(OSError):
            while block := peer.recv(1 << 16):
                part += block

    def lines(self) -> list[str]:
        """The text of all whole messages, in order."""
        return [
            text.decode()
            for part in self.parts
            for text in re.findall(rb"(?m)^<30>[^\n]*?\]: (.*)\n", bytes(part))
        ]

    def close(self) -> None:
        self.server.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_collector_misses_no_line_when_the_supervisor_is_killed(
    bench: Bench, collector: Collector
) -> None:
    path = bench.log_path("c")
    remote = {"driver": "syslog", "network": "tcp", "address": collector.address}
    remote |= {"facility": "24", "tag": "t", "hostname": "h", "format": ""}
    log = LogConfig(str(path), form=BLOCKS, remote=tuple(remote.items()))

    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", *PYTHON, WRITER, "1.2", "0.01", log=log)
        kills = 0
        while kills < 3 or not engine.exits:
            await asyncio.sleep(0.2)
            await engine.kill_supervisor()
            await engine.recovered()
            kills += 1
        assert (await engine.ended("c", seconds=60)).exit_code == 6
        async with asyncio.timeout(30):
            while not collector.lines() or "last" not in collector.lines()[-1]:
                await asyncio.sleep(0.05)
        await engine.client.delete("c")
        await engine.client.close()

    asyncio.run(scenario())
    text = logged(path, BLOCKS)
    check_lines(text)
    received = collector.lines()
    # Lines may come twice at a kill; none is left out, and no order is lost.
    assert list(dict.fromkeys(received)) == text.splitlines()


def test_a_collector_that_is_not_there_is_an_error_of_the_start(bench: Bench) -> None:
    remote = {"driver": "syslog", "network": "tcp", "address": "127.0.0.1:1", "tag": "t"}
    log = LogConfig(str(bench.log_path("c")), form=BLOCKS, remote=tuple(remote.items()))

    async def scenario() -> None:
        engine = await bench.connect()
        with pytest.raises(
            Exception,
            match=r"failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection",
        ):
            await engine.start("c", "/bin/true", log=log)
        assert (await engine.run("d", "/bin/true")).exit_code == 0
        await engine.client.close()

    asyncio.run(scenario())

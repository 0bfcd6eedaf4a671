"""The program on a real terminal: a pseudo-terminal that a test types on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import knarr
from support.engine import Engine

HERE = Path(__file__).parent
KNARR = [sys.executable, "-I", "-S", str(Path(knarr.__file__).parent / "cli/__main__.py")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.needs_root)


class Terminal:
    """The program, and the terminal it believes to be on."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.shown = b""
        self._seen = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                os.execve(KNARR[0], [*KNARR, *arguments], environment)
            finally:
                os._exit(99)

    def wait_for(self, text: str) -> None:
        """Read until the text appears behind what was waited for before."""
        wanted = text.encode()
        while (at := self.shown.find(wanted, self._seen)) < 0:
            assert self._read(), f"the program ended before it showed {text!r}: {self.shown!r}"
        self._seen = at + len(wanted)

    def type(self, keys: bytes | str) -> None:
        os.write(self._fd, keys if isinstance(keys, bytes) else keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self._fd)[3] & termios.ICANON

    def end(self) -> int:
        """Wait for the program's end; its exit code, and all it showed in ``shown``."""
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], 30)
        assert ready, f"nothing more came: {self.shown!r}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += data
        return bool(data)

    def abandon(self) -> None:
        """End it if the test did not."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._fd)


@pytest.fixture
def terminal(engine: Engine) -> Iterator[Callable[..., Terminal]]:
    """Start the program on a terminal of 24 rows and 80 columns."""
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(list(arguments), {**engine.client_env, "PATH": os.environ["PATH"]}))
        return opened[-1]

    yield start
    for each in opened:
        each.abandon()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for what another process does, at most twenty seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    return wait

"""run, attach and exec on a terminal, against a real engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from support.engine import Engine

from .conftest import Terminal

Start = Callable[..., Terminal]
SHELL = ("--network", "none", "busybox", "sh")


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A name for a container that is removed afterwards."""
    yield "cli-terminal"
    engine.knarr("rm", "-f", "cli-terminal", check=False)


def test_a_shell_and_its_exit_code(terminal: Start) -> None:
    shell = terminal("run", "-it", "--rm", *SHELL)
    shell.wait_for("# ")
    assert shell.is_raw()
    shell.type("echo $((20 + 22)); stty size\n")
    shell.wait_for("42\r\n24 80\r\n")
    shell.type("exit 3\n")
    assert shell.end() == 3


def test_the_size_follows(terminal: Start, until: Callable[[Callable[[], bool]], None]) -> None:
    shell = terminal("run", "-it", "--rm", *SHELL)
    shell.wait_for("# ")
    shell.resize(33, 77)

    def has_new_size() -> bool:
        shell.type("stty size\n")
        shell.wait_for("stty size\r\n")
        shell.wait_for("\r\n")
        return b"33 77" in shell.shown

    until(has_new_size)
    shell.type("exit\n")
    assert shell.end() == 0


def test_detach_and_attach(terminal: Start, engine: Engine, name: str) -> None:
    shell = terminal("run", "-it", "--name", name, *SHELL)
    shell.wait_for("# ")
    shell.type("VAR=kept\n")
    shell.wait_for("# ")
    shell.type(b"\x10\x11")
    assert shell.end() == 0
    assert engine.knarr("inspect", "-f", "{{.State.Running}}", name).out == "true\n"

    again = terminal("attach", "--detach-keys", "ctrl-a,x", name)
    again.wait_for("# ")
    again.type("echo $VAR\n")
    again.wait_for("kept\r\n")
    again.type(b"\x01x")
    assert again.end() == 1
    assert again.shown.endswith(b"read escape sequence\r\n")

    last = terminal("attach", name)
    last.wait_for("# ")
    last.type("exit 5\n")
    assert last.end() == 5
    started = terminal("start", "-ai", name)
    started.wait_for("# ")
    started.type("exit 6\n")
    assert started.end() == 6


def test_exec(terminal: Start, engine: Engine, name: str) -> None:
    engine.knarr("run", "-d", "--name", name, *SHELL[:-1], "sleep", "1000")
    shell = terminal("exec", "-it", "-e", "X=y", name, "sh")
    shell.wait_for("# ")
    shell.type("echo $X-; stty size; exit 9\n")
    shell.wait_for("y-\r\n24 80\r\n")
    assert shell.end() == 9
    other = terminal("exec", "-it", name, "sh")
    other.wait_for("# ")
    other.type(b"\x10\x11")
    assert other.end() == 1


TRAP = "trap 'echo got it; exit 8' INT TERM; echo ready; while :; do sleep 0.1; done"


def test_interrupt_reaches_the_program(terminal: Start) -> None:
    run = terminal("run", "--rm", *SHELL, "-c", TRAP)
    run.wait_for("ready")
    run.type(b"\x03")
    run.wait_for("got it")
    assert run.end() == 8


def test_signals_reach_the_program(terminal: Start) -> None:
    run = terminal("run", "--rm", *SHELL, "-c", TRAP)
    run.wait_for("ready")
    os.kill(run.pid, signal.SIGTERM)
    run.wait_for("got it")
    assert run.end() == 8


def test_without_proxy_an_interrupt_ends_only_the_client(
    terminal: Start, engine: Engine, name: str
) -> None:
    run = terminal("run", "--sig-proxy=false", "--name", name, *SHELL, "-c", TRAP)
    run.wait_for("ready")
    run.type(b"\x03")
    assert run.end() == 130
    assert engine.knarr("inspect", "-f", "{{.State.Running}}", name).out == "true\n"


def test_three_interrupts_end_the_client(terminal: Start, name: str) -> None:
    stubborn = "trap '' INT; echo ready; sleep 1000"
    run = terminal("run", "--name", name, *SHELL, "-c", stubborn)
    run.wait_for("ready")
    for _ in range(3):
        run.type(b"\x03")
        run.wait_for("^C")
        time.sleep(0.5)  # two signals that are pending at once are one
    assert run.end() == 1
    assert b"got 3 SIGTERM/SIGINTs, forcefully exiting" in run.shown


def test_end_of_typing_without_a_terminal_of_its_own(terminal: Start) -> None:
    cat = terminal("run", "-i", "--rm", *SHELL[:-1], "cat")
    cat.type("line\n")
    cat.wait_for("line\r\nline\r\n")
    cat.type(b"\x04")
    assert cat.end() == 0


def test_a_large_stream_in_both_directions(engine: Engine) -> None:
    data = os.urandom(8_000_000)
    result = engine.knarr("run", "-i", "--rm", *SHELL[:-1], "cat", input=data, binary=True)
    assert result.out == data


def test_a_terminal_is_asked_for_where_there_is_none(engine: Engine) -> None:
    result = engine.knarr("run", "-it", "--rm", *SHELL, check=False)
    assert (result.code, result.err) == (1, "the input device is not a TTY\n")

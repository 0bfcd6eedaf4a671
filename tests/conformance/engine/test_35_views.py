"""How a user looks at containers: ``top``, ``ps`` and ``inspect`` in detail."""

from __future__ import annotations

import pytest

from support.engine import Engine


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        ("", "UID PID PPID C STIME TTY TIME CMD"),
        ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-eo pid,ppid,user,args", "PID PPID USER COMMAND"),
        ("-o pid,cmd", "PID CMD"),
        ("-ely", "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME CMD"),
    ],
)
def test_top(daemon: Engine, background: str, arguments: str, titles: str) -> None:
    lines = daemon.docker("top", background, *arguments.split()).out.splitlines()
    assert lines[0].split() == titles.split()
    shell = [line for line in lines if "ready" in line or line.split()[-1] == "sh"]
    assert len(shell) == 1
    pid = str(daemon.get(f"/containers/{background}/json")["State"]["Pid"])
    assert pid in shell[0].split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-o cmd", "Couldn't find PID field in ps output"),
        ("-o user=PID", 'specifying "user=PID" is not allowed'),
        ("-o pid,nosuch", 'ps: error: unknown user-defined format specifier "nosuch"'),
        ("--nosuch", "ps: error: unknown gnu long option"),
    ],
)
def test_what_top_refuses(daemon: Engine, background: str, arguments: str, message: str) -> None:
    done = daemon.docker("top", background, *arguments.split(), check=False)
    assert (done.code, done.err) == (1, f"Error response from daemon: {message}\n")


def test_top_of_one_that_does_not_run(daemon: Engine, name: str) -> None:
    daemon.docker("create", "--name", name, "--network", "none", "busybox", "true")
    done = daemon.docker("top", name, check=False)
    assert done.code == 1
    assert "is not running" in done.err

"""How a user looks at containers: ``top``, ``ps`` and ``inspect`` in detail."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def three(daemon: Engine) -> Iterator[str]:
    """NAME runs with a volume, a label and a mount; NAME-3 has exited with 3; NAME-n is new."""
    name = f"v{secrets.token_hex(4)}"
    daemon.docker(
        *("run", "-d", "--name", name, "--network", "none", "-v", f"{name}-v:/data", "-v"),
        *("/tmp:/host", "-l", f"views={name}", "-l", "x", "--expose", "80"),
        *("busybox", "sleep", "1000"),
    )
    daemon.docker(
        *("run", "--name", f"{name}-3", "-l", f"views={name}", "--network", "none"),
        *("busybox", "sh", "-c", "exit 3"),
        check=False,
    )
    daemon.docker(
        *("create", "--name", f"{name}-n", "-l", f"views={name}", "--network", "none"),
        *("busybox", "true"),
    )
    yield name
    daemon.docker("rm", "-f", "-v", name, f"{name}-3", f"{name}-n", check=False)
    daemon.docker("volume", "rm", f"{name}-v", check=False)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", "N"),
        ("-a", "N-n N-3 N"),
        ("-n 2", "N-n N-3"),
        ("-l", "N-n"),
        ("-l -f status=running", "N"),
        ("-f status=exited", "N-3"),
        ("-f status=exited -f status=created", "N-n N-3"),
        ("-f exited=3", ""),
        ("-a -f exited=3", "N-3"),
        ("-a -f exited=0", ""),
        ("-a -f name=^/N$", "N"),
        ("-a -f name=N-[3n]", "N-n N-3"),
        ("-a -f name=[", ""),
        ("-a -f label=x", "N"),
        ("-a -f before=N-3", "N"),
        ("-a -f since=N-3", "N-n"),
        ("-a -f since=N -f before=N-n", "N-3"),
        ("-a -f volume=N-v", "N"),
        ("-a -f volume=/data", "N"),
        ("-a -f volume=/tmp", "N"),
        ("-a -f volume=/host -f volume=/nosuch", "N"),
        ("-a -f network=none -f network=bridge", "N-n N-3 N"),
        ("-a -f network=host", ""),
        ("-a -f expose=80", ""),
        ("-a -f publish=80-90/udp", ""),
        ("-a -f ancestor=busybox", "N-n N-3 N"),
        ("-a -f ancestor=nosuch", ""),
        ("-a -f health=none -f is-task=false", "N-n N-3 N"),
        ("-a -f is-task=true", ""),
        ("-a -f id=", ""),
    ],
)
def test_ps(daemon: Engine, three: str, flags: str, expected: str) -> None:
    own = [] if "-n 2" in flags or flags == "-l" else ["-f", f"label=views={three}"]
    words = flags.replace("N", three).split()
    shown = daemon.docker("ps", *words, *own, "--format", "{{.Names}}").out.split()
    assert shown == expected.replace("N", three).split()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("foo=bar", "nvalid filter 'foo'"),
        ("status=x", "nvalid filter 'status=x'"),
        ("exited=x", 'strconv.Atoi: parsing "x": invalid syntax'),
        ("health=x", "Unrecognised filter value for health: x"),
        ("is-task=x", "nvalid filter 'is-task=[x]'"),
        ("before=nosuch", "o such container"),
        ("expose=x", 'error while looking up for expose x: strconv.ParseUint: parsing "x": '),
        ("publish=80:80", "filter for 'publish' should not contain ':': 80:80"),
    ],
)
def test_what_ps_refuses(daemon: Engine, flag: str, message: str) -> None:
    done = daemon.docker("ps", "-f", flag, check=False)
    assert (done.code, done.out) == (1, "")
    assert message in done.err

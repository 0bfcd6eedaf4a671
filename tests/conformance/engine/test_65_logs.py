"""Log drivers, their options and ``docker logs``, as the docker command line sees them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import Engine, Result

Start = Callable[..., Result]


@pytest.fixture
def start(daemon: Engine, name: str) -> Start:
    """``docker run --name NAME OPTIONS busybox sh -c SCRIPT``, to its end unless ``-d``."""

    def start(script: str, *options: str, check: bool = True) -> Result:
        line = ["run", "--name", name, "--network", "none", *options, "busybox", "sh", "-c", script]
        return daemon.docker(*line, check=check)

    return start


def lines(number: int) -> str:
    return "".join(f"line {each}\n" for each in range(number))


COUNT = "i=0; while [ $i -lt {} ]; do echo line $i; i=$((i+1)); done"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--log-driver", "bogus"), 'error looking up logging plugin bogus: plugin "bogus" not'),
        (("--log-opt", "foo=bar"), "unknown log opt 'foo' for json-file log driver"),
        (("--log-opt", "max-size=x"), "failed to initialize logging driver: invalid size: 'x'"),
        (("--log-opt", "max-file=0"), "max-file cannot be less than 1"),
        (("--log-opt", "tag={{.Nope}}"), "can't evaluate field Nope in type *logger.Info"),
        (("--log-opt", "labels-regex=("), "error parsing regexp: missing "),
        (("--log-opt", "mode=x"), "logger: logging mode not supported: x"),
        (("--log-opt", "max-buffer-size=1m"), "max-buffer-size option is only supported with"),
        (("--log-driver", "local", "--log-opt", "tag=x"), "unknown log opt 'tag' for log driver"),
        (("--log-driver", "syslog"), "Unix syslog delivery error"),
        (
            ("--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:1"),
            "initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (("--log-driver", "journald"), "journald is not enabled on this host"),
    ],
    ids=range(12),
)
def test_what_is_refused(start: Start, options: tuple[str, ...], words: str) -> None:
    for needed, path in (("Unix", "/dev/log"), ("journald is", "/run/systemd/journal/socket")):
        if words.startswith(needed) and Path(path).exists():
            pytest.skip(f"{path} is there")
    failed = start("true", *options, check=False)
    assert failed.code == 125
    assert words in failed.err


def test_info_and_inspect(daemon: Engine, name: str, start: Start) -> None:
    info = daemon.get("/info")
    assert info["LoggingDriver"] == "json-file"
    assert {"journald", "json-file", "local", "syslog"} <= set(info["Plugins"]["Log"])
    start("echo x", "--log-driver", "local", "--log-opt", "max-size=1m")
    found = daemon.get(f"/containers/{name}/json")
    assert found["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "1m"}}
    assert found["LogPath"] == ""


def test_attributes_stand_in_the_file_and_in_details(
    daemon: Engine, name: str, start: Start
) -> None:
    start(
        "echo one; sleep 0.1; echo two >&2",
        *("--label", "x=1", "--label", "y=a,b c", "-e", "E=5", "-e", "F_1=6"),
        *("--log-opt", "labels=x,y", "--log-opt", "env=E", "--log-opt", "env-regex=^F_"),
        *("--log-opt", "tag={{.Name}}/{{.ImageName}}"),
    )
    expected = {"E": "5", "F_1": "6", "tag": f"{name}/busybox", "x": "1", "y": "a,b c"}
    path = Path(daemon.get(f"/containers/{name}/json")["LogPath"])
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["attrs"] for each in entries] == [expected, expected]
    text = f"E=5,F_1=6,tag={name}%2Fbusybox,x=1,y=a%2Cb+c"
    found = daemon.docker("logs", "--details", name)
    assert (found.out, found.err) == (f"{text} one\n", f"{text} two\n")
    stamped = daemon.docker("logs", "--details", "-t", name).out
    assert re.fullmatch(rf"\S+Z {re.escape(text)} one\n", stamped)


DRIVERS = pytest.mark.parametrize(
    "options",
    [
        (),
        ("--log-opt", "compress=true", "--log-opt", "max-size=4k", "--log-opt", "max-file=30"),
        ("--log-driver", "local"),
        ("--log-driver", "local", "--log-opt", "max-size=2k", "--log-opt", "max-file=30"),
        ("--log-driver", "local", "--log-opt", "mode=non-blocking"),
    ],
    ids=["json-file", "compressed", "local", "local-rotated", "non-blocking"],
)


OLD_BUGS = "dockerd 20.10 loses or doubles lines of rotated files and of local"


@DRIVERS
def test_logs_of_all_drivers_that_keep_files(
    daemon: Engine, name: str, start: Start, options: tuple[str, ...], is_knarr: bool
) -> None:
    if not is_knarr and len(options) > 2:
        pytest.skip(OLD_BUGS)
    start(COUNT.format(400) + "; echo err >&2; printf end", *options)
    expected = lines(400) + "end"
    found = daemon.docker("logs", name)
    assert (found.out, found.err) == (expected, "err\n")
    assert daemon.docker("logs", "--tail", "0", name).out == ""
    tail = daemon.docker("logs", "--tail", "52", name)
    assert (tail.out + tail.err).count("\n") == 51
    assert tail.out.startswith("line 350\n")
    assert daemon.docker("logs", "--tail", "all", name).out == expected
    stamps = [line.split()[0] for line in daemon.docker("logs", "-t", name).out.splitlines()]
    assert stamps == sorted(stamps)
    since = daemon.docker("logs", "-t", "--since", stamps[-1], name).out
    assert since.endswith("Z end")
    assert daemon.docker("logs", "--until", "2001-01-01T00:00:00Z", name).out == ""
    between = ("--since", "1h", "--until", "2100-01-01T00:00:00Z")
    assert daemon.docker("logs", *between, name).out == expected
    # A second run adds to the same log.
    daemon.docker("start", "-a", name)
    assert daemon.docker("logs", name).out == expected + expected


@DRIVERS
def test_following_many_rotations(
    daemon: Engine, name: str, start: Start, options: tuple[str, ...], is_knarr: bool
) -> None:
    if not is_knarr and len(options) > 2:
        pytest.skip(OLD_BUGS)
    script = "i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i+1)); "
    start(script + "[ $((i % 50)) = 0 ] && usleep 20000; done; true", "-d", *options)
    assert daemon.docker("logs", "-f", name).out == lines(1500)


def test_following_ends_at_a_moment(daemon: Engine, name: str, start: Start) -> None:
    start("echo begin; sleep 100", "-d")
    while daemon.docker("logs", name).out != "begin\n":
        time.sleep(0.05)
    until = str(time.time() + 0.5)
    assert daemon.docker("logs", "-f", "--until", until, name).out == "begin\n"
    assert daemon.docker("logs", "-f", "--until", str(time.time()), name).out == "begin\n"


@DRIVERS
def test_a_long_line_comes_back_whole(
    daemon: Engine, name: str, start: Start, options: tuple[str, ...], is_knarr: bool
) -> None:
    if not is_knarr and options:
        pytest.skip(OLD_BUGS)
    start("head -c 40000 /dev/zero | tr '\\0' x; echo; echo next", *options)
    assert daemon.docker("logs", name).out == "x" * 40_000 + "\nnext\n"


def test_none_keeps_nothing(daemon: Engine, name: str, start: Start) -> None:
    assert start("echo hello", "--log-driver", "none").out == "hello\n"
    failed = daemon.docker("logs", name, check=False)
    assert failed.code == 1
    assert "configured logging driver does not support reading" in failed.err
    assert daemon.api("GET", f"/containers/{name}/logs?stdout=1")[0] == 501


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[socket.socket]:
    """A syslog socket of the test's own; its path is short because sun_path is."""
    path = tmp_path / "log"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        yield sock


def test_syslog_gets_lines_and_they_can_be_read(
    daemon: Engine, name: str, start: Start, collector: socket.socket
) -> None:
    address = f"syslog-address=unixgram://{collector.getsockname()}"
    options = ["--log-driver", "syslog", "--log-opt", address, "--log-opt", "tag={{.Name}}/x"]
    options += ["--log-opt", "syslog-facility=local3", "--log-opt", "syslog-format=rfc3164"]
    start("echo one; sleep 0.2; echo two >&2", *options)
    messages = [collector.recv(65536).decode() for _ in range(2)]
    head = rf"[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \S+ {name}/x\[\d+\]: "
    assert re.fullmatch(rf"<158>{head}one\n", messages[0]), messages
    assert re.fullmatch(rf"<155>{head}two\n", messages[1]), messages
    found = daemon.docker("logs", name)
    assert (found.out, found.err) == ("one\n", "two\n")


def test_syslog_without_a_copy_cannot_be_read(
    daemon: Engine, name: str, start: Start, collector: socket.socket
) -> None:
    address = f"syslog-address=unixgram://{collector.getsockname()}"
    options = ["--log-driver", "syslog", "--log-opt", address]
    assert start("echo one", *options, "--log-opt", "cache-disabled=true").out == "one\n"
    assert collector.recv(65536).endswith(b": one\n")
    failed = daemon.docker("logs", name, check=False)
    assert "configured logging driver does not support reading" in failed.err


def test_a_container_that_removes_itself_is_followed_to_its_end(
    daemon: Engine, name: str, start: Start
) -> None:
    start("sleep 0.5; " + COUNT.format(300), "-d", "--rm")
    assert daemon.docker("logs", "-f", name).out == lines(300)

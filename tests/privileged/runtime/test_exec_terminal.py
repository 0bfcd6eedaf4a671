"""Processes in a running container, and terminals."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import struct
import tempfile
import termios
from pathlib import Path

import pytest

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime import lifecycle
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from knarr.runtime.process import Stdio
from knarr.runtime.seccomp import default_profile, resolve
from support.boxes import CAPABILITIES, Box, reap, unpack_busybox

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def test_process_joins_namespaces_cgroup_and_root(box: Box) -> None:
    running = box.start("sleep", "100")
    result = box.exec("sh", "-c", "hostname; echo $$; cat /proc/self/cgroup; ls -d /bin; exit 9")
    assert result.code == 9
    hostname, pid, *rest = result.out.splitlines()
    assert hostname == "box"
    assert int(pid) > 1
    assert "0::/" in rest
    assert rest[-1] == "/bin"
    assert Path(f"/proc/{running.pid}").exists()


def test_process_is_our_child_and_named_by_its_pidfd(box: Box) -> None:
    box.start("sleep", "100")
    state = lifecycle.state(box.state_root, box.id)
    process = {**box.process, "args": ["sleep", "50"]}
    other = lifecycle.exec(state, process, stdio=Stdio(-1, -1, -1))  # type: ignore[arg-type]
    children = Path("/proc/thread-self/children").read_text().split()
    assert str(other.pid) in children
    joined = Path(f"/proc/{other.pid}/cgroup").read_text()
    assert joined == Path(f"/proc/{state['pid']}/cgroup").read_text()
    signal.pidfd_send_signal(other.pidfd, signal.SIGTERM)
    assert reap(other) == 143


def test_process_gets_the_rights_that_are_asked_for(box: Box) -> None:
    box.spec["linux"]["seccomp"] = resolve(default_profile(), CAPABILITIES)
    box.start("sleep", "100")
    out = box.exec(
        "grep", "-E", "CapEff|NoNewPrivs|Seccomp:|Groups|^Uid", "/proc/self/status",
        capabilities={"bounding": ["CAP_KILL"]}, noNewPrivileges=True,
        user={"uid": 1000, "gid": 7, "additionalGids": [8]},
    ).out  # fmt: skip
    values = dict(re.findall(r"(\w+):\t(.*)", out))
    assert int(values["CapEff"], 16) == 0
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")
    assert values["Uid"].split()[0] == "1000"
    assert values["Groups"].split() == ["8"]


def test_working_directory_and_environment(box: Box) -> None:
    box.start("sleep", "100")
    result = box.exec("sh", "-c", "pwd; echo $X", cwd="/tmp", env=["PATH=/bin", "X=y"])
    assert result.out == "/tmp\ny\n"


def test_nothing_of_the_host_is_open(box: Box) -> None:
    box.start("sleep", "100")
    assert box.exec("ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("program", "error"),
    [("nothing", CommandNotFoundError), ("/etc", CommandNotExecutableError)],
)
def test_program_that_cannot_be_executed(box: Box, program: str, error: type[Exception]) -> None:
    box.start("sleep", "100")
    with pytest.raises(error):
        box.exec(program)
    assert box.exec("true").code == 0


def test_missing_working_directory_is_named(box: Box) -> None:
    box.start("sleep", "100")
    with pytest.raises(Exception, match="enter working directory /nope: no such file"):
        box.exec("true", cwd="/nope")


def test_container_that_has_ended_takes_no_process(box: Box) -> None:
    box.start("true")
    state = lifecycle.state(box.state_root, box.id)
    assert box.wait() == 0
    with pytest.raises(FailedPreconditionError, match="is not running"):
        lifecycle.exec(state, box.process, stdio=Stdio(-1, -1, -1))  # type: ignore[arg-type]


def test_number_of_another_process_is_not_taken_for_the_container(box: Box) -> None:
    box.start("sleep", "100")
    state = lifecycle.state(box.state_root, box.id)
    state["pid"] = os.getpid()
    with pytest.raises(FailedPreconditionError, match="is not running"):
        lifecycle.exec(state, box.process, stdio=Stdio(-1, -1, -1))  # type: ignore[arg-type]


class Terminal:
    """The master of a container's terminal."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self.stdio = Stdio(-1, -1, -1, self._theirs.fileno())
        self.master = -1

    def receive(self) -> int:
        data, descriptors, _, _ = socket.recv_fds(self._ours, 100, 2)
        (self.master,) = descriptors
        assert data
        return self.master

    def read(self) -> str:
        out = b""
        try:
            while chunk := os.read(self.master, 1000):
                out += chunk
        except OSError:  # EIO: the other side is closed
            pass
        return out.decode()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def terminal(box: Box):
    made = Terminal()
    yield made
    made.close()


def test_terminal_is_that_of_the_container(box: Box, terminal: Terminal) -> None:
    box.process.update(terminal=True, consoleSize={"height": 33, "width": 99})
    box.start(
        "sh", "-c", "tty; stty size; test -t 0 && test -t 2 && echo t > /dev/tty;"
        "test /dev/console -ef /dev/pts/0 && echo same; ls /dev/pts", stdio=terminal.stdio,
    )  # fmt: skip
    terminal.receive()
    out = terminal.read()
    assert box.wait() == 0
    assert out.split() == ["/dev/pts/0", "33", "99", "t", "same", "0", "ptmx"]


def test_terminal_is_owned_by_the_user(box: Box, terminal: Terminal) -> None:
    box.process.update(terminal=True, user={"uid": 1000, "gid": 1000})
    box.start("stat", "-c", "%u", "/dev/pts/0", stdio=terminal.stdio)
    terminal.receive()
    assert terminal.read().strip() == "1000"
    assert box.wait() == 0


def test_interrupt_reaches_the_foreground(box: Box, terminal: Terminal) -> None:
    box.process["terminal"] = True
    box.start("sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 1; done",
              stdio=terminal.stdio)  # fmt: skip
    master = terminal.receive()
    out = b""
    while b"ready" not in out:
        out += os.read(master, 100)
    os.write(master, b"\x03")
    assert "caught" in terminal.read()
    assert box.wait() == 3


def test_size_can_be_changed_from_outside(box: Box, terminal: Terminal) -> None:
    box.process["terminal"] = True
    box.start("sh", "-c", "read x; stty size", stdio=terminal.stdio)
    master = terminal.receive()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 11, 22, 0, 0))
    os.write(master, b"\n")
    assert "11 22" in terminal.read()
    assert box.wait() == 0


def test_terminal_of_another_process(box: Box, terminal: Terminal) -> None:
    box.start("sleep", "100")
    state = lifecycle.state(box.state_root, box.id)
    process = {**box.process, "terminal": True, "args": ["sh", "-c", "tty; echo $0 > /dev/tty"]}
    running = lifecycle.exec(state, process, stdio=terminal.stdio)  # type: ignore[arg-type]
    terminal.receive()
    assert terminal.read().split() == ["/dev/pts/0", "sh"]
    assert reap(running) == 0


def test_terminal_needs_someone_to_give_it_to(box: Box) -> None:
    box.process["terminal"] = True
    with pytest.raises(InvalidArgumentError, match="console socket"):
        box.start("true")


def test_receiver_that_has_gone_is_an_error(box: Box, terminal: Terminal) -> None:
    box.process["terminal"] = True
    terminal._ours.close()
    with pytest.raises(Exception, match="open terminal: broken pipe"):
        box.start("true", stdio=terminal.stdio)


def test_process_joins_a_user_namespace() -> None:
    with tempfile.TemporaryDirectory(prefix="knarr-test-", dir="/var/tmp") as path:
        base = Path(path)
        base.chmod(0o755)
        box = Box(base, base)
        box.rootfs = ()
        root = unpack_busybox(box.base / "rootfs")
        for name in ("proc", "dev", "sys"):
            (root / name).mkdir()
        linux = box.spec["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        linux["gidMappings"] = linux["uidMappings"]
        try:
            running = box.start("sleep", "100")
            assert Path(f"/proc/{running.pid}").stat().st_uid == 100000
            result = box.exec(
                "sh", "-c", "id -u; cat /proc/self/uid_map; grep CapEff /proc/1/status"
            )
            assert result.out.split()[:4] == ["0", "0", "100000", "65536"]
            assert box.exec("id", "-u", user={"uid": 33, "gid": 33}).out == "33\n"
        finally:
            box.close()

"""The C walker, with real processes and system calls; none of this needs root."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr import _spawn
from knarr.runtime import ops, table
from knarr.runtime.plan import CLONE_VFORK, CLONE_VM
from knarr.runtime.table import ANY_ERROR, Address, Shared, Slot, Word, Words, call
from support import leaks

BORROW = CLONE_VM | CLONE_VFORK
CWD = -100


def exit_with(code: int) -> table.Call:
    return call("exit_group", code)


def execute(*argv: str) -> table.Call:
    return call("execve", argv[0], Words("argv", (*argv, 0)), Words("envp", (0,)))


def spawn(*groups: tuple[table.Call, ...], flags: int = BORROW, report: int = -1):
    segments = tuple(table.encode(group) for group in groups)
    return _spawn.spawn(segments, flags, -1, report)


def status_of(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert result is not None
    return result.si_status


def code(*groups: tuple[table.Call, ...]) -> int:
    """The exit status of a walk that ends by exit_group: such a child never becomes a program."""
    pid, pidfd, _, error, status = spawn(*groups)
    assert pidfd == -1
    assert error == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    before, children = len(list(Path("/proc/self/fd").iterdir())), leaks.children()
    yield
    # Fewer when what another test forgot was collected meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert leaks.children() == children


def test_walk_executes_a_program() -> None:
    pid, pidfd, segment, error, _ = spawn((), (execute("/bin/sh", "-c", "exit 7"),))
    assert (segment, error) == (1, 0)
    assert pid > 1
    assert status_of(pidfd) == 7


def test_failed_call_names_segment_and_errno_and_leaves_no_zombie() -> None:
    pid, pidfd, segment, error, _ = spawn(
        (call("umask", 0),), (call("chdir", "/nonexistent"),), (exit_with(0),)
    )
    assert (pidfd, segment, error) == (-1, 1, errno.ENOENT)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_failed_exec_is_an_error_and_not_an_exit() -> None:
    *_, error, _ = spawn((execute("/etc/passwd"),))
    assert error == errno.EACCES


def test_allowed_error_walks_the_failure_branch() -> None:
    opened = call("chdir", "/nonexistent", allow=(errno.ENOENT,))
    assert code((opened.then(exit_with(1)).otherwise(exit_with(2)), exit_with(3))) == 2
    assert code((opened.then(exit_with(1)), exit_with(3))) == 3
    assert code((opened.otherwise(call("umask", 0)), exit_with(3))) == 3


def test_success_walks_the_success_branch_only() -> None:
    entered = call("chdir", "/", allow=(errno.ENOENT,))
    assert code((entered.then(exit_with(1)).otherwise(exit_with(2)), exit_with(3))) == 1
    assert code((entered.otherwise(exit_with(2)), exit_with(3))) == 3
    assert code((entered.then(call("umask", 0)).otherwise(exit_with(2)), exit_with(3))) == 3


def test_branches_nest() -> None:
    missing = call("chdir", "/nonexistent", flags=ANY_ERROR)
    inner = missing.then(exit_with(1)).otherwise(
        call("chdir", "/").then(exit_with(2)), exit_with(3)
    )
    assert code((missing.otherwise(inner, exit_with(4)), exit_with(5))) == 2


def test_error_that_is_not_allowed_is_fatal() -> None:
    *_, error, _ = spawn((call("chdir", "/etc/passwd", allow=(errno.ENOENT, errno.EACCES)),))
    assert error == errno.ENOTDIR


def test_slots_carry_results_within_a_segment_and_shared_ones_across() -> None:
    mask, old = Slot("mask"), Shared(9)
    groups = (
        (call("umask", 0o33), call("umask", 0o44, store=mask), call("umask", mask)),
        (call("umask", 0o55, store=old),),
        (call("exit_group", old),),
    )
    assert code(*groups) == 0o33


def test_slot_of_a_failed_call_holds_the_error() -> None:
    result = Slot("result")
    tried = call("chdir", "/nonexistent", store=result, flags=ANY_ERROR)
    checked = table.fail_if(result, errno.ENOENT)
    *_, error, _ = spawn((tried, table.fail_if(result, errno.EACCES), checked))
    assert error == errno.ENOENT


def test_result_can_be_put_into_a_structure(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    control = Words("control", (20, socket.SOL_SOCKET | socket.SCM_RIGHTS << 32, 0))
    message = Words("message", (0, 0, Words("iovec", (b"x", 1)), 1, control, 24, 0))
    (tmp_path / "file").write_text("sent")
    opened = call("openat", CWD, str(tmp_path / "file"), os.O_RDONLY, 0, store=Word(control, 2))
    assert code((opened, call("sendmsg", theirs.fileno(), message, 0), exit_with(0))) == 0
    data, descriptors, _, _ = socket.recv_fds(ours, 10, 1)
    assert (data, os.read(descriptors[0], 10)) == (b"x", b"sent")
    os.close(descriptors[0])
    ours.close()
    theirs.close()


def test_call_that_must_not_return_zero_fails_at_end_of_file() -> None:
    read, write = os.pipe()
    os.close(write)
    step = call("read", read, Address(Slot("byte")), 1, flags=table.NOT_ZERO)
    *_, error, _ = spawn((step,))
    os.close(read)
    assert error == errno.EPIPE


def test_child_has_default_signals_and_an_empty_mask() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        words = f"grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status > /proc/self/fd/{write}"
        status_of(spawn((execute("/bin/sh", "-c", words),))[1])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        os.close(write)
    lines = os.read(read, 1000).decode().split()
    os.close(read)
    assert [int(value, 16) for value in lines[1:4:2]] == [0, 0]
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, "ours is as it was"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_child_that_is_killed_before_exec_is_told_apart_from_one_that_ran() -> None:
    result: list[tuple[int, int, int, int, int]] = []
    read, write = os.pipe()
    ready, tell = os.pipe()
    blocks = (call("write", tell, b"x", 1), call("read", read, Address(Slot("byte")), 1))
    walker = threading.Thread(target=lambda: result.append(spawn((), (*blocks, exit_with(0)))))
    walker.start()
    os.read(ready, 1)
    (pid,) = Path(f"/proc/self/task/{walker.native_id}/children").read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    walker.join()
    for descriptor in (read, write, ready, tell):
        os.close(descriptor)
    _, pidfd, segment, error, status = result[0]
    assert (pidfd, segment, error, os.WTERMSIG(status)) == (-1, 1, 0, signal.SIGKILL)


def test_other_threads_run_while_a_child_borrows_the_memory() -> None:
    read, write = os.pipe()
    blocks = call("read", read, Address(Slot("byte")), 1)
    walker = threading.Thread(target=lambda: code((blocks, exit_with(0))))
    walker.start()
    os.write(write, b"x")  # this thread had the interpreter while the other slept in clone
    walker.join(10)
    assert not walker.is_alive()
    os.close(read)
    os.close(write)


class Plain:
    """A walk with a copy of the memory, and the socket on which it reports."""

    def __init__(self, *groups: tuple[table.Call, ...]) -> None:
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid, self.pidfd, *_ = spawn(*groups, flags=0, report=theirs.fileno())
        theirs.close()

    def reports(self) -> list[tuple[int, int, int]]:

        result = []
        while message := self.ours.recv(100):
            result.append(ops.MESSAGE.unpack(message))
        self.ours.close()
        return result


def test_copying_child_reports_its_failure() -> None:
    plain = Plain((call("umask", 0),), (call("chdir", "/nonexistent"),))
    assert plain.reports() == [(ord("F"), 1, errno.ENOENT)]
    assert status_of(plain.pidfd) == 127


def test_copying_child_that_executes_reports_nothing() -> None:
    plain = Plain((execute("/bin/sh", "-c", "exit 3"),))
    assert plain.reports() == []
    assert status_of(plain.pidfd) == 3


def test_fork_goes_on_in_a_sibling_that_is_our_child() -> None:
    plain = Plain((table.fork(),), (execute("/bin/sh", "-c", "exit 4"),))
    ((kind, segment, pid),) = plain.reports()
    assert (kind, segment) == (ord("P"), 0)
    assert status_of(plain.pidfd) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4


@pytest.mark.parametrize(
    ("segment", "flags"),
    [
        ((b"x" * 81, b"", b""), BORROW),
        ((table.encode((call("chdir", "/"),))[0], b"", b""), BORROW),
        ((b"", bytes(8), b"\0\0\0\0\xff\0\0\0"), BORROW),
        (table.encode((table.fork(),)), BORROW),
        (table.encode(()), CLONE_VM),
    ],
)
def test_table_that_does_not_fit_is_refused(segment: table.Segment, flags: int) -> None:
    with pytest.raises(ValueError, match=r"fit|together"):
        _spawn.spawn((segment,), flags, -1, -1)


def test_child_is_not_dumpable_from_its_first_step_on() -> None:

    get_dumpable, answer = 3, Slot("dumpable")
    asked = call("prctl", get_dumpable, 0, 0, 0, 0, store=answer)
    plain = Plain(ops.die_with_parent().calls, (asked, call("exit_group", answer)))
    assert plain.reports() == []
    assert status_of(plain.pidfd) == 0

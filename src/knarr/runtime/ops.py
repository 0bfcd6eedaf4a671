"""Operations: the steps of a plan, each with its description and its system calls.

An ``Operation`` is a value. ``describe()`` is the line that ``run --explain`` shows, ``what`` names
the step in an error ("mount proc on /proc: no space left on device"). The functions here make the
operations that change the process and its namespaces; ``rootfs``, ``mounts``, ``devices``,
``console``, ``privileges`` and ``command`` make the others. Pure.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from functools import cache
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import table
from knarr.runtime.table import Address, Call, Slot, call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.runtime.table import Segment

AT_FDCWD = -100

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# The namespaces by their names in the OCI spec, in the order in which they are joined: the user
# namespace first, because it gives the rights over the others, the mount namespace last, because
# the paths of the others are those of the host.
NAMESPACES = {
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "network": CLONE_NEWNET,
    "pid": CLONE_NEWPID,
    "mount": CLONE_NEWNS,
}

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SIGKILL = 9
_F_SETFD = 2
_F_DUPFD_CLOEXEC = 1030
_KEYCTL_JOIN_SESSION_KEYRING = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_CLOSE_RANGE_CLOEXEC = 4
_LAST_DESCRIPTOR = 0xFFFFFFFF

# Messages from the child: kind, point or step, value. `_spawn` has two kinds of its own.
MESSAGE = struct.Struct("=iii")
SYNC = ord("S")

# The points that a child tells of, in their order.
CLONED, FURNISHED, CREATED, EXECUTING = 1, 2, 3, 4
POINTS = {CLONED: "cloned", FURNISHED: "furnished", CREATED: "created", EXECUTING: "executing"}


class Operation:
    """One step: ``what`` it does, the ``text`` that describes it, and its ``calls``. A value."""

    __slots__ = ("_segment", "calls", "text", "what")

    def __init__(self, what: str, text: str, calls: tuple[Call, ...]) -> None:
        self.what = what
        self.text = text
        self.calls = calls
        self._segment: Segment | None = None

    def describe(self) -> str:
        """One line, written like the system calls that the step makes."""
        return self.text

    def segment(self) -> Segment:
        """The calls as ``_spawn`` walks them; encoded once, for most steps are used again."""
        if self._segment is None:
            self._segment = table.encode(self.calls)
        return self._segment

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"Operation({self.what!r}, {self.text!r})"

    def _value(self) -> tuple[str, str, tuple[Call, ...]]:
        return self.what, self.text, self.calls


def flag_names(flags: int) -> str:
    """The namespaces in ``flags`` as the kernel names them."""
    names = {
        CLONE_NEWNS: "CLONE_NEWNS",
        CLONE_NEWCGROUP: "CLONE_NEWCGROUP",
        CLONE_NEWUTS: "CLONE_NEWUTS",
        CLONE_NEWIPC: "CLONE_NEWIPC",
        CLONE_NEWUSER: "CLONE_NEWUSER",
        CLONE_NEWPID: "CLONE_NEWPID",
        CLONE_NEWNET: "CLONE_NEWNET",
    }
    return "|".join(name for flag, name in names.items() if flags & flag) or "0"


@cache
def die_with_parent() -> Operation:
    """End with the parent thread, as long as the process is not yet the container's program.

    Not dumpable: no process of a container may trace it or open what it has open.
    """
    return Operation(
        "tie the process to its parent",
        "prctl(PR_SET_PDEATHSIG, SIGKILL); prctl(PR_SET_DUMPABLE, 0)",
        (
            call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0),
            call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0),
        ),
    )


@cache
def outlive_parent() -> Operation:
    """Undo ``die_with_parent``: from here on the container lives on its own."""
    return Operation(
        "untie the process from its parent",
        "prctl(PR_SET_PDEATHSIG, 0)",
        (call("prctl", _PR_SET_PDEATHSIG, 0, 0, 0, 0),),
    )


def take_stdio(descriptors: Sequence[int]) -> Operation:
    """Make ``descriptors`` the descriptors 0, 1 and 2; -1 stands for /dev/null."""
    calls: list[Call] = []
    moved = [Slot(f"stdio{target}") for target in range(len(descriptors))]
    sources: list[int | Slot] = []
    for target, source in enumerate(descriptors):
        if source < 0:
            null = call("openat", AT_FDCWD, "/dev/null", os.O_RDWR | os.O_CLOEXEC, 0)
            calls.append(null._replace(store=moved[target]))
            sources.append(moved[target])
        elif source < len(descriptors) and source != target:
            # It would be overwritten before it is used.
            calls.append(call("fcntl", source, _F_DUPFD_CLOEXEC, 3, store=moved[target]))
            sources.append(moved[target])
        else:
            sources.append(source)
    for target, each in enumerate(sources):
        if each == target:
            calls.append(call("fcntl", target, _F_SETFD, 0))
        else:
            calls.append(call("dup3", each, target, 0))
    shown = ", ".join(str(each) for each in descriptors)
    return Operation("set up standard streams", f"dup3({{{shown}}} -> 0, 1, 2)", tuple(calls))


def close_others(keep: Iterable[int]) -> Operation:
    """Close what the process inherited, except 0, 1, 2 and ``keep``.

    Another container's pipe that stayed open here until exec would keep that pipe from ending.
    """
    calls: list[Call] = []
    first = 3
    for descriptor in sorted({each for each in keep if each >= first}):
        if descriptor > first:
            calls.append(call("close_range", first, descriptor - 1, 0))
        first = descriptor + 1
    calls.append(call("close_range", first, _LAST_DESCRIPTOR, 0))
    return Operation("close descriptors", "close_range(3, ~0, 0)", tuple(calls))


@cache
def close_on_exec(first: int = 3) -> Operation:
    """Let exec close everything from the descriptor ``first`` on."""
    return Operation(
        "mark descriptors",
        f"close_range({first}, ~0, CLOSE_RANGE_CLOEXEC)",
        (call("close_range", first, _LAST_DESCRIPTOR, _CLOSE_RANGE_CLOEXEC),),
    )


def write_file(what: str, path: str, content: str, *, allow: tuple[int, ...] = ()) -> Operation:
    """Write ``content`` into the existing file ``path`` of the host by one write."""
    descriptor = Slot("file")
    raw = os.fsencode(content)
    return Operation(
        what,
        f'write("{path}", "{content}")',
        (
            call("openat", AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, 0, store=descriptor),
            call("write", descriptor, raw, len(raw), allow=allow),
            call("close", descriptor),
        ),
    )


def join_cgroup(file: str) -> Operation:
    """Put the process into the cgroup whose ``cgroup.procs`` or ``tasks`` is ``file``."""
    return write_file("join cgroup", file, "0")


def join_namespace(kind: str, path: str) -> Operation:
    """Join the namespace ``path`` (a file of nsfs); ``kind`` as the OCI spec names it."""
    descriptor = Slot("namespace")
    return Operation(
        f"join {kind} namespace {path}",
        f'setns("{path}", {flag_names(NAMESPACES[kind])})',
        (
            call("openat", AT_FDCWD, path, os.O_RDONLY | os.O_CLOEXEC, 0, store=descriptor),
            call("setns", descriptor, NAMESPACES[kind]),
            call("close", descriptor),
        ),
    )


def join_process(pidfd: int, flags: int) -> Operation:
    """Join the namespaces of the process behind ``pidfd``, all of ``flags`` in one step."""
    return Operation(
        "join the container's namespaces",
        f"setns(pidfd, {flag_names(flags)})",
        (call("setns", pidfd, flags),),
    )


@cache
def fork_into_pid_namespace() -> Operation:
    """Go on as a new process: only children are in a pid namespace that was joined."""
    return Operation(
        "fork into the pid namespace", "clone3(CLONE_PARENT); exit_group(0)", (table.fork(),)
    )


@cache
def unshare(flags: int) -> Operation:
    """Make new namespaces."""
    return Operation(
        "create namespaces", f"unshare({flag_names(flags)})", (call("unshare", flags),)
    )


def sync(report: int, point: int) -> Operation:
    """Tell the parent that ``point`` is reached, and wait until it answers.

    The parent's end closed without an answer is EPIPE.
    """
    told = tell(report, point)
    return Operation(
        f"wait for the runtime ({POINTS[point]})",
        f"{told.text}; read(runtime)",
        (
            *told.calls,
            call("read", report, Address(Slot("answer")), 8, flags=table.NOT_ZERO),
        ),
    )


def tell(report: int, point: int) -> Operation:
    """Tell the parent that ``point`` is reached."""
    message = MESSAGE.pack(SYNC, point, 0)
    return Operation(
        f"tell the runtime ({POINTS[point]})",
        f'write(runtime, "{POINTS[point]}")',
        (call("write", report, message, len(message)),),
    )


def wait_for_start(fifo: int) -> Operation:
    """Sleep until `start` writes a byte. We hold the FIFO for writing too: it never ends."""
    return Operation(
        "wait for start",
        "read(exec.fifo)",
        (call("read", fifo, Address(Slot("answer")), 1, flags=table.NOT_ZERO),),
    )


@cache
def become_root() -> Operation:
    """Be root of the new user namespace, once its ids are mapped."""
    return Operation(
        "become root of the user namespace",
        "setresgid(0, 0, 0); setresuid(0, 0, 0)",
        (call("setresgid", 0, 0, 0), call("setresuid", 0, 0, 0)),
    )


@cache
def new_keyring() -> Operation:
    """Leave the session keyring of the host, keyrings(7)."""
    return Operation(
        "create session keyring",
        "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)",
        (call("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, 0, allow=(errno.ENOSYS, errno.EPERM)),),
    )


@cache
def new_session() -> Operation:
    """Be the leader of a new session without a terminal."""
    return Operation("create session", "setsid()", (call("setsid"),))


def set_hostname(name: str) -> Operation:
    """Set the name of the UTS namespace."""
    size = len(os.fsencode(name))
    return Operation("set hostname", f'sethostname("{name}")', (call("sethostname", name, size),))


def set_domainname(name: str) -> Operation:
    """Set the NIS domain of the UTS namespace."""
    size = len(os.fsencode(name))
    return Operation(
        "set domainname", f'setdomainname("{name}")', (call("setdomainname", name, size),)
    )


@cache
def loopback_up() -> Operation:
    """Switch ``lo`` of the network namespace on; the kernel then gives it its addresses."""
    control = Slot("control socket")
    request = struct.pack("=16sh22x", b"lo", _IFF_UP)
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    return Operation(
        "bring up loopback",
        'ioctl(socket, SIOCSIFFLAGS, {"lo", IFF_UP})',
        (
            call("socket", socket.AF_INET, kind, 0, store=control),
            call("ioctl", control, _SIOCSIFFLAGS, request),
            call("close", control),
        ),
    )


def change_directory(path: str) -> Operation:
    """Make the directory ``path`` of the host the working directory."""
    return Operation(f"enter {path}", f'chdir("{path}")', (call("chdir", path),))


@cache
def set_umask(mask: int) -> Operation:
    """Set the file mode creation mask."""
    return Operation("set umask", f"umask({mask:#o})", (call("umask", mask),))


def set_oom_score(score: int) -> Operation:
    """Make the process more (up to 1000) or less likely to be killed when memory is short."""
    if not -1000 <= score <= 1000:
        raise InvalidArgumentError(
            f"invalid value {score}, range for oom score adj is [-1000, 1000]"
        )
    return write_file("set oom_score_adj", "/proc/self/oom_score_adj", str(score))

"""Filters at work: each test loads one in a new process and does real system calls there."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from knarr.runtime import seccomp
from knarr.runtime.seccomp import actions
from knarr.sys import seccomp as library

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls"),
]

CAPS = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP"
        " NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS, SIGCHLD = 0x10000000, 0x00020000, 17
NR = {"clone": 56, "ptrace": 101, "personality": 135, "mount": 165, "keyctl": 250, "bpf": 321}
NR |= {"clone3": 435, "io_uring_setup": 425, "mseal": 462, "statmount": 457, "unshare": 272}


def call(number: int, *arguments: int) -> int:
    """The result of a system call, or its error number as a negative one."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))
    return -ctypes.get_errno() if result == -1 else result


def under(filter_: Any, function: Callable[[], object]) -> object:
    """What ``repr(function())`` is in a new process under the filter; or ``signal N``."""
    program, flags = seccomp.compile(filter_, None), seccomp.flags(filter_)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            library.set_mode_filter(program, flags)
            os.write(writer, repr(function()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read().decode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"signal {-code}" if code < 0 else eval(answer)


@pytest.fixture(scope="module")
def default() -> Any:
    return seccomp.resolve(seccomp.default_profile(), CAPS)


def plain(*rules: Any, default: str = "SCMP_ACT_ALLOW", **more: Any) -> Any:
    return {"defaultAction": default, "syscalls": list(rules), **more}


def rule(name: str, action: str, *args: Any, **more: Any) -> Any:
    return {"names": [name], "action": action, "args": list(args), **more}


def test_the_default_lets_a_program_work(default: Any) -> None:
    def work() -> object:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.write(writer, b"hello")
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        status = os.waitpid(pid, 0)[1]
        with socket.socket(socket.AF_INET) as listener:
            listener.bind(("127.0.0.1", 0))
        return os.read(reader, 5), os.waitstatus_to_exitcode(status)

    assert under(default, work) == (b"hello", 7)


@pytest.mark.parametrize("name", ["mount", "keyctl", "bpf", "unshare", "io_uring_setup"])
def test_the_default_refuses_with_eperm(default: Any, name: str) -> None:
    assert under(default, lambda: call(NR[name], 0, 0, 0, 0, 0)) == -errno.EPERM


def test_new_namespaces_are_refused_by_the_flags_of_clone(default: Any) -> None:
    def clone(flags: int) -> int:
        pid = call(NR["clone"], flags | SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return pid if pid < 0 else os.waitpid(pid, 0)[1]

    assert under(default, lambda: (clone(0), clone(CLONE_NEWUSER), clone(CLONE_NEWNS))) == (
        0,
        -errno.EPERM,
        -errno.EPERM,
    )


def test_clone3_does_not_exist_so_that_libraries_fall_back(default: Any) -> None:
    assert under(default, lambda: call(NR["clone3"], 0, 0)) == -errno.ENOSYS


def test_personality_by_value(default: Any) -> None:
    def values() -> list[int]:
        return [call(NR["personality"], value) for value in (0xFFFFFFFF, 0x8, 0x0, 0x0040000)]

    current, linux32, linux, no_randomize = under(default, values)  # type: ignore[misc]
    assert current >= 0
    assert linux32 >= 0
    assert linux >= 0
    assert no_randomize == -errno.EPERM


def test_a_capability_opens_its_calls() -> None:
    more = seccomp.resolve(seccomp.default_profile(), CAPS | {"CAP_SYS_ADMIN"})
    assert under(more, lambda: call(NR["mount"], 0, 0, 0, 0, 0)) == -errno.EFAULT
    assert under(more, lambda: call(NR["clone3"], 0, 0)) == -errno.EINVAL


def test_a_call_newer_than_the_profile_does_not_exist(default: Any) -> None:
    """EPERM would keep a C library from falling back to what it knows."""
    assert under(default, lambda: (call(600), call(1000), call(0x3FFFFFFF))) == (-38, -38, -38)


def test_calls_that_the_library_does_not_know_are_decided_too(default: Any) -> None:
    known = {name for each in default["syscalls"] for name in each["names"]}
    assert {"mseal", "statmount"} <= known
    unfiltered = call(NR["mseal"], 1, 0, 0), call(NR["statmount"], 0, 0, 0, 99)
    answers = under(
        default, lambda: (call(NR["mseal"], 1, 0, 0), call(NR["statmount"], 0, 0, 0, 99))
    )
    assert answers == unfiltered
    assert -errno.EPERM not in unfiltered
    refusing = rule("mseal", "SCMP_ACT_ERRNO", errnoRet=99)
    filter_ = plain(refusing, *default["syscalls"], default="SCMP_ACT_ERRNO")
    assert under(filter_, lambda: call(NR["mseal"], 1, 0, 0)) == -99


def test_32_bit_programs_are_filtered_by_their_own_table(default: Any) -> None:
    """int 0x80 takes the i386 table: getpid is 20 there, mount 21."""

    def legacy(number: int) -> int:
        code = b"\x53\x89\xf8\x31\xdb\xcd\x80\x5b\xc3"  # push rbx; mov eax,edi; int 80h; pop; ret
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(address)(number)

    pid = os.fork()
    if pid == 0:
        os._exit(0 if legacy(20) == os.getpid() else 1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        pytest.skip("this kernel runs no 32-bit system calls")
    assert under(default, lambda: (legacy(20) == os.getpid(), legacy(21), legacy(600))) == (
        True,
        -errno.EPERM,
        -errno.ENOSYS,
    )
    only_64 = {**default, "architectures": ["SCMP_ARCH_X86_64"]}
    assert under(only_64, lambda: legacy(20)) == f"signal {int(signal.SIGSYS)}"


def test_x32_calls_have_their_own_table(default: Any) -> None:
    answer = under(default, lambda: (call(actions.X32_BIT | 165), call(actions.X32_BIT | 2000)))
    assert answer == (-errno.EPERM, -errno.ENOSYS)


def test_actions_and_error_numbers() -> None:
    assert under(plain(rule("ptrace", "SCMP_ACT_ERRNO", errnoRet=77)), lambda: call(101)) == -77
    assert under(plain(rule("ptrace", "SCMP_ACT_ERRNO")), lambda: call(101)) == -errno.EPERM
    killed = plain(rule("ptrace", "SCMP_ACT_KILL_PROCESS"))
    assert under(killed, lambda: call(101)) == f"signal {int(signal.SIGSYS)}"
    trapped = plain(rule("ptrace", "SCMP_ACT_TRAP"))
    assert under(trapped, lambda: call(101)) == f"signal {int(signal.SIGSYS)}"
    assert under(plain(rule("getppid", "SCMP_ACT_LOG")), os.getppid) == os.getpid()


@pytest.mark.parametrize(
    ("op", "value", "other", "refused"),
    [
        ("SCMP_CMP_EQ", 5, 0, {5}),
        ("SCMP_CMP_NE", 5, 0, {4, 6, 1 << 40}),
        ("SCMP_CMP_GT", 5, 0, {6, 1 << 40}),
        ("SCMP_CMP_GE", 5, 0, {5, 6, 1 << 40}),
        ("SCMP_CMP_LT", 5, 0, {4}),
        ("SCMP_CMP_LE", 5, 0, {4, 5}),
        ("SCMP_CMP_MASKED_EQ", 6, 4, {4, 5}),
    ],
)
def test_conditions_on_64_bit_arguments(op: str, value: int, other: int, refused: set[int]) -> None:
    condition = {"index": 1, "op": op, "value": value, "valueTwo": other}
    filter_ = plain(rule("ptrace", "SCMP_ACT_ERRNO", condition, errnoRet=77))

    def try_all() -> list[int]:
        return [each for each in (4, 5, 6, 1 << 40) if call(101, 99999, each) == -77]

    assert under(filter_, try_all) == sorted(refused)


def test_conditions_on_several_arguments_all_hold() -> None:
    both = [{"index": i, "op": "SCMP_CMP_EQ", "value": 5} for i in (1, 2)]
    filter_ = plain(rule("ptrace", "SCMP_ACT_ERRNO", *both, errnoRet=77))
    pairs = ((5, 5), (5, 6), (6, 5))
    assert under(filter_, lambda: [call(101, 99999, *each) == -77 for each in pairs]) == [
        True,
        False,
        False,
    ]


def test_conditions_on_one_argument_hold_one_by_one() -> None:
    either = [{"index": 1, "op": "SCMP_CMP_EQ", "value": value} for value in (5, 7)]
    filter_ = plain(rule("ptrace", "SCMP_ACT_ERRNO", *either, errnoRet=77))
    assert under(filter_, lambda: [call(101, 99999, each) == -77 for each in (5, 6, 7)]) == [
        True,
        False,
        True,
    ]


def test_unknown_names_are_skipped() -> None:
    filter_ = plain(
        rule("no_such_call", "SCMP_ACT_ERRNO"), rule("ptrace", "SCMP_ACT_ERRNO", errnoRet=77)
    )
    assert under(filter_, lambda: call(101)) == -77


def test_rules_that_say_what_holds_anyway_are_skipped() -> None:
    assert under(plain(rule("ptrace", "SCMP_ACT_ALLOW")), lambda: call(101, 99999)) != -1


def test_an_allowing_filter_hides_no_new_call() -> None:
    filter_ = plain(rule("ptrace", "SCMP_ACT_ERRNO", errnoRet=77))
    assert under(filter_, lambda: call(NR["mseal"], 1, 0, 0)) == call(NR["mseal"], 1, 0, 0)

"""The prologue before libseccomp's program, run by an interpreter for every architecture."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError
from knarr.runtime.seccomp import actions, compiler, default_profile, resolve
from knarr.sys import seccomp as library
from support.bpf import run

ALLOW, ENOSYS = actions.ALLOW, actions.ERRNO | errno.ENOSYS
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
MIPSEL, RISCV64 = 0x40000008, 0xC00000F3


@pytest.fixture(scope="module")
def filter_() -> Any:
    resolved = resolve(default_profile(), {"CAP_CHOWN"})
    wanted = ["X86_64", "X86", "X32", "AARCH64", "RISCV64", "MIPSEL"]
    return {**resolved, "architectures": [f"SCMP_ARCH_{name}" for name in wanted]}


@pytest.fixture(scope="module")
def program(filter_: Any) -> bytes:
    return compiler.build(filter_)


@pytest.fixture(scope="module")
def bare(filter_: Any) -> bytes:
    """The same filter without a prologue: what libseccomp itself makes of it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(compiler, "_prologue", lambda _: b"")
    try:
        return compiler.build(filter_)
    finally:
        patch.undo()


@pytest.mark.parametrize(
    ("arch", "first", "name"),
    [
        (X86_64, 0, "x86_64"),
        (X86_64, actions.X32_BIT, "x32"),
        (I386, 0, "x86"),
        (AARCH64, 0, "aarch64"),
        (RISCV64, 0, "riscv64"),
        (MIPSEL, 4000, "mipsel"),
    ],
)
def test_known_calls_are_left_to_the_library(
    program: bytes, bare: bytes, filter_: Any, arch: int, first: int, name: str
) -> None:
    token = library.arch_resolve_name(name)
    names = {each for rule in filter_["syscalls"] for each in rule["names"]}
    numbers = {library.syscall_resolve_name_arch(token, each) for each in names}
    last = max(numbers)
    for number in range(first, first + 420):
        if number <= last:
            assert run(program, arch, number) == run(bare, arch, number), number
    for number in (last + 1000, last + 100_000):
        assert run(bare, arch, number) == actions.ERRNO | errno.EPERM
        assert run(program, arch, number) == ENOSYS


@pytest.mark.parametrize(
    ("arch", "bit"), [(X86_64, 0), (X86_64, actions.X32_BIT), (I386, 0), (AARCH64, 0), (RISCV64, 0)]
)
def test_calls_that_are_newer_than_the_library(program: bytes, arch: int, bit: int) -> None:
    for name in ("cachestat", "fchmodat2", "mseal", "removexattrat"):
        assert run(program, arch, actions.NEW_CALLS[name] | bit) == ALLOW, name


def test_an_architecture_outside_the_filter_is_killed(program: bytes) -> None:
    for number in (0, 1, 452, 100_000):
        assert run(program, 0xDEAD, number) == 0


def test_the_default_fits_the_limit_of_the_kernel(program: bytes) -> None:
    assert len(program) // 8 < 4096


def test_the_way_of_s390_to_tell_an_unknown_call() -> None:
    """Its library cannot be asked here (another byte order), so only the prologue runs."""
    (token,) = {0x80000016} & actions.TOKENS_S390
    table = compiler._table(token, [{"names": ["close"], "action": "SCMP_ACT_ALLOW"}], 0)
    code = compiler._prologue({token: table}) + struct.pack("=HBBI", 0x06, 0, 0, ALLOW)
    assert [run(code, token, number) for number in (0, 1, 6, 7)] == [ENOSYS, ALLOW, ALLOW, ENOSYS]


def test_architectures_that_exclude_each_other() -> None:
    with pytest.raises(InvalidArgumentError, match='"SCMP_ARCH_S390X"'):
        compiler.build({"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_S390X"]})


def test_a_filter_without_rules() -> None:
    program = compiler.build({"defaultAction": "SCMP_ACT_ERRNO"})
    assert run(program, X86_64, 0) == actions.ERRNO | errno.EPERM

"""A compacted program answers as the long one did, shown by an interpreter."""

from __future__ import annotations

import random
import struct

import pytest

from knarr.runtime.seccomp import actions, compact, compiler, default_profile, resolve
from support.bpf import run

X86_64, I386 = 0xC000003E, 0x40000003

NUMBERS = [*range(470), *range(actions.X32_BIT, actions.X32_BIT + 550, 3), 2**31, 2**32 - 1]
ARGUMENTS = [0, 1, 8, 16, 40, 0x20000, 0x7E020000, 0x7E020080, 1 << 31, 1 << 40, 2**64 - 1]


@pytest.fixture(scope="module", params=["CAP_CHOWN", "CAP_SYS_ADMIN"])
def long_program(request: pytest.FixtureRequest) -> bytes:
    """The default filter as it was before it is made compact."""
    patch = pytest.MonkeyPatch()
    patch.setattr(compiler, "compact", lambda program: program)
    try:
        return compiler.build(resolve(default_profile(), {request.param}))
    finally:
        patch.undo()


def test_every_call_gets_the_same_answer(long_program: bytes) -> None:
    short = compact.compact(long_program)
    assert len(short) < 0.7 * len(long_program)
    chance = random.Random(2)
    numbers = NUMBERS + [chance.randrange(2**32) for _ in range(50)]
    for arch in (X86_64, I386, 5):
        for number in numbers:
            values = tuple(chance.choice(ARGUMENTS) for _ in range(6))
            for arguments in ((0,) * 6, values)[: 1 + number % 2]:
                assert run(short, arch, number, arguments) == run(
                    long_program, arch, number, arguments
                )


def op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


@pytest.mark.parametrize(
    "odd",
    [
        op(0x20, 4) + op(0x25, 7, 0, 0),  # compares an architecture by size
        op(0x20, 0) + op(0x54, 7) + op(0x15, 1, 0, 0),  # masks the number
        op(0x20, 0) + op(0x45, 3, 0, 0),  # asks for two bits at once
        op(0x20, 0) + op(0x45, 1, 0, 0),  # parts the numbers too often
        op(0x20, 0) + op(0x02, 0),  # stores the number
    ],
    ids=["arch-size", "mask", "two-bits", "lowest-bit", "store"],
)
def test_what_is_not_understood_stays(odd: bytes) -> None:
    program = odd + op(0x20, 0) + op(0x15, 5, 0, 1) + op(0x06, 1) + op(0x06, 2)
    assert compact.compact(program) == program


def test_a_program_that_would_grow_stays() -> None:
    program = op(0x06, actions.ALLOW)
    assert compact.compact(program) == program


def test_long_ways_are_kept_within_reach() -> None:
    """More than 255 instructions on one side of a comparison, and behind a jump."""
    calls = b"".join(op(0x15, 2 * n, 0, 1) + op(0x06, n) for n in range(270))
    program = op(0x20, 4) + op(0x15, 9, 0, 0) + op(0x20, 0) + calls
    program += op(0x15, 5001, 0, 2) + op(0x20, 16) + op(0x15, 3, 1, 0) + op(0x06, 7) + op(0x06, 8)
    old = [compact._Instruction(*each) for each in struct.iter_unpack("=HBBI", program)]
    tables = {arch: compact._pieces(old, arch, [9]) for arch in (9, 0)}
    short = compact._assemble(old, tables)
    for arch in (9, 1):
        for number in (0, 1, 2, 200, 538, 539, 540, 5000, 5001, 5002):
            for argument in (3, 4):
                arguments = (argument, 0, 0, 0, 0, 0)
                assert run(short, arch, number, arguments) == run(program, arch, number, arguments)

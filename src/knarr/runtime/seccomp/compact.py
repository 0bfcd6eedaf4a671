"""Make a filter program decide by few comparisons: what it says stays the same.

The kernel walks a new filter once for every system call number of every architecture, to learn
which calls it always allows (seccomp_cache_prepare, kernel/seccomp.c), and translates all of it
to machine code. Both are paid at each start of a container, and both get shorter with the program.

What a program answers mostly depends on the architecture and the number alone. ``compact``
executes it for ranges of numbers at once, splitting a range where a comparison parts it, and
writes the answers as a balanced tree of comparisons. Where an argument of the call is read, the
tree jumps to that instruction of the old program, which is kept with all that can follow it.

Law: a program that has instructions which are not understood is returned as it is.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

# Classic BPF, linux/bpf_common.h; offsets in struct seccomp_data.
_LOAD, _RETURN, _JUMP = 0x20, 0x06, 0x05
_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_BRANCHES = (_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT)
_NR, _ARCH = 0, 4
_REACH = 255  # of a conditional jump
_NUMBERS = 1 << 32
_MOST_BLOCKS = 8
_MOST_STEPS = 100_000
_INSTRUCTION = struct.Struct("=HBBI")


class _Instruction(NamedTuple):
    code: int
    if_true: int
    if_false: int
    value: int


class _Goto(NamedTuple):
    """Go on at this instruction of the old program."""

    at: int


#: What is known about a call: to answer with an action, or to go on.
_Outcome = int | _Goto


class _Piece(NamedTuple):
    """All numbers from ``start`` to the next piece have this outcome."""

    start: int
    outcome: _Outcome


class _NotUnderstoodError(Exception):
    """The program does something that is not followed."""


def compact(program: bytes) -> bytes:
    """A program that answers as ``program`` does, an array of struct sock_filter like it."""
    old = [_Instruction(*each) for each in _INSTRUCTION.iter_unpack(program)]
    try:
        known = _architectures(old)
        tables = {arch: _pieces(old, arch, known) for arch in [*known, _other(known)]}
    except _NotUnderstoodError:
        return program
    new = _assemble(old, tables)
    return program if len(new) >= len(program) else new


def _architectures(old: list[_Instruction]) -> list[int]:
    """The architectures that the program asks for, in its order, as its text suggests."""
    found: dict[int, None] = {}
    loads_arch = False
    for each in old:
        if each.code == _LOAD:
            loads_arch = each.value == _ARCH
        elif each.code == _EQUAL and loads_arch:
            found[each.value] = None
    return list(found)


def _other(known: list[int]) -> int:
    """A number that stands for every architecture that is not asked for."""
    return next(number for number in range(_NUMBERS) if number not in known)


class _Way(NamedTuple):
    """A range of numbers on its way through the program."""

    at: int
    loaded: int | None  # the offset of what the accumulator holds
    low: int
    high: int


def _pieces(old: list[_Instruction], arch: int, known: list[int]) -> list[_Piece]:
    """What the program does with each number on one architecture, equal neighbours joined."""
    found: list[_Piece] = []
    ways = [_Way(0, None, 0, _NUMBERS - 1)]
    for _ in range(_MOST_STEPS):
        if not ways:
            break
        outcome, low = _step(old, arch, known, ways)
        if outcome is not None:
            found.append(_Piece(low, outcome))
    else:
        raise _NotUnderstoodError
    found.sort()
    return [
        piece
        for before, piece in zip([None, *found], found, strict=False)
        if before is None or before.outcome != piece.outcome
    ]


def _step(
    old: list[_Instruction], arch: int, known: list[int], ways: list[_Way]
) -> tuple[_Outcome | None, int]:
    """Take one way one instruction further; its outcome, if it has come to one."""
    way = ways.pop()
    code, if_true, if_false, value = old[way.at]
    behind = way.at + 1
    if code == _RETURN:
        return value, way.low
    if code == _LOAD:
        if value not in {_NR, _ARCH}:
            return _Goto(way.at), way.low
        ways.append(way._replace(at=behind, loaded=value))
    elif code == _JUMP:
        ways.append(way._replace(at=behind + value))
    elif code in _BRANCHES and way.loaded == _ARCH:
        if code != _EQUAL or value not in known:
            raise _NotUnderstoodError
        ways.append(way._replace(at=behind + (if_true if arch == value else if_false)))
    elif code in _BRANCHES and way.loaded == _NR:
        for low, high, holds in _parts(code, value, way.low, way.high):
            distance = if_true if holds else if_false
            ways.append(_Way(behind + distance, _NR, low, high))
    else:
        raise _NotUnderstoodError
    return None, 0


def _parts(code: int, value: int, low: int, high: int) -> list[tuple[int, int, bool]]:
    """The range as parts of which all numbers fulfil the condition, or none does."""
    if code == _EQUAL:
        edges = [(low, value - 1, False), (value, value, True), (value + 1, high, False)]
    elif code == _GREATER:
        edges = [(low, value, False), (value + 1, high, True)]
    elif code == _AT_LEAST:
        edges = [(low, value - 1, False), (value, high, True)]
    else:
        if value.bit_count() != 1 or (high - low) // value >= _MOST_BLOCKS:
            raise _NotUnderstoodError
        blocks = range(low // value, high // value + 1)
        edges = [(n * value, (n + 1) * value - 1, bool(n & 1)) for n in blocks]
    clipped = [(max(low, first), min(high, last), holds) for first, last, holds in edges]
    return [part for part in clipped if part[0] <= part[1]]


def _assemble(old: list[_Instruction], tables: dict[int, list[_Piece]]) -> bytes:
    """The new program: dispatch by architecture, a tree for each, what is kept of the old one."""
    load_number = _Instruction(_LOAD, 0, 0, _NR)
    *sections, (_, rest) = [(arch, [load_number, *_tree(of)]) for arch, of in tables.items()]
    code: list[_Instruction | _Goto] = [_Instruction(_LOAD, 0, 0, _ARCH)]
    distance = 2 * len(sections) + len(rest)
    for arch, section in sections:
        distance -= 2
        code += [_Instruction(_EQUAL, 0, 1, arch), _Instruction(_JUMP, 0, 0, distance)]
        distance += len(section)
    code += rest
    for _, section in sections:
        code += section
    kept = _reachable(old, {each.at for each in code if isinstance(each, _Goto)})
    place = {index: len(code) + number for number, index in enumerate(kept)}
    new = [
        _Instruction(_JUMP, 0, 0, place[each.at] - here - 1) if isinstance(each, _Goto) else each
        for here, each in enumerate(code)
    ]
    new += [_moved(old[index], index, place) for index in kept]
    return b"".join(_INSTRUCTION.pack(*each) for each in new)


def _tree(pieces: list[_Piece]) -> list[_Instruction | _Goto]:
    """Find the piece of the number that is loaded, and do what it says."""
    if len(pieces) == 1:
        outcome = pieces[0].outcome
        return [outcome if isinstance(outcome, _Goto) else _Instruction(_RETURN, 0, 0, outcome)]
    middle = len(pieces) // 2
    left, right = _tree(pieces[:middle]), _tree(pieces[middle:])
    start = pieces[middle].start
    if len(left) <= _REACH:
        return [_Instruction(_AT_LEAST, len(left), 0, start), *left, *right]
    far = [_Instruction(_AT_LEAST, 0, 1, start), _Instruction(_JUMP, 0, 0, len(left))]
    return [*far, *left, *right]


def _reachable(old: list[_Instruction], starts: set[int]) -> list[int]:
    """The instructions that can be executed from ``starts`` on, in their order."""
    found: set[int] = set()
    ahead = list(starts)
    while ahead:
        index = ahead.pop()
        if index not in found:
            found.add(index)
            ahead += [index + 1 + distance for distance in _distances(old[index])]
    return sorted(found)


def _distances(instruction: _Instruction) -> tuple[int, ...]:
    """How many instructions may be left out behind this one; none at all behind a return."""
    if instruction.code & 7 == _RETURN:
        return ()
    if instruction.code == _JUMP:
        return (instruction.value,)
    if instruction.code & 7 == _JUMP:
        return instruction.if_true, instruction.if_false
    return (0,)


def _moved(instruction: _Instruction, index: int, place: dict[int, int]) -> _Instruction:
    """The instruction with its jumps as they are in the new program: never longer than before."""
    ways = [place[index + 1 + way] - place[index] - 1 for way in _distances(instruction)]
    if instruction.code == _JUMP:
        return instruction._replace(value=ways[0])
    if instruction.code & 7 == _JUMP:
        return instruction._replace(if_true=ways[0], if_false=ways[1])
    return instruction

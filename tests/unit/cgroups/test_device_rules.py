"""Device rules: their meaning, by interpreting the BPF program and by the model of v1."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError
from knarr.runtime.cgroups import devices

DENY_ALL: dict[str, Any] = {"allow": False, "access": "rwm"}
CONTAINER: list[Any] = [
    DENY_ALL,
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
]


def grants(rules: list[Any], kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program for one access, as the kernel would."""
    code = devices.program(devices.policy(rules))
    wanted = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = struct.pack("=III", wanted << 16 | {"b": 1, "c": 2}[kind], major, minor)
    return bool(
        _run([struct.unpack_from("=BBhi", code, at) for at in range(0, len(code), 8)], context)
    )


def _run(program: list[tuple[int, int, int, int]], context: bytes) -> int:
    """The few BPF instructions that the filter uses."""
    registers = [0] * 11
    at = 0
    for _ in range(10_000):
        opcode, pair, offset, immediate = program[at]
        target, source = pair & 15, pair >> 4
        at += 1
        if opcode == 0x95:
            return registers[0]
        if opcode == 0x61:
            registers[target] = struct.unpack_from("=I", context, offset)[0]
        elif opcode == 0xB7:
            registers[target] = immediate
        elif opcode == 0xBF:
            registers[target] = registers[source]
        elif opcode == 0x57:
            registers[target] &= immediate
        elif opcode == 0x77:
            registers[target] >>= immediate
        elif (
            opcode == 0x05
            or (opcode == 0x55 and registers[target] != immediate)
            or (opcode == 0x45 and registers[target] & immediate)
        ):
            at += offset
        elif opcode not in {0x55, 0x45}:
            raise AssertionError(hex(opcode))
    raise AssertionError("endless")


@pytest.mark.parametrize(
    ("access", "granted"),
    [
        (("c", 1, 3, "rw"), True),
        (("c", 1, 3, "rwm"), True),
        (("c", 1, 1, "r"), False),
        (("c", 1, 1, "m"), True),
        (("b", 8, 0, "m"), True),
        (("b", 8, 0, "r"), False),
        (("b", 1, 3, "r"), False),
        (("c", 136, 7, "rw"), True),
        (("c", 137, 7, "w"), False),
    ],
)
def test_a_container_may_use_its_devices_only(access: Any, granted: bool) -> None:
    assert grants(CONTAINER, *access) is granted


def test_no_rules_allow_everything() -> None:
    assert devices.policy([]).everything
    assert grants([], "b", 8, 0, "rwm")


def test_the_last_matching_rule_decides_for_each_right() -> None:
    rules = [
        *CONTAINER,
        {"allow": True, "type": "b", "major": 8, "access": "rw"},
        {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "w"},
    ]
    assert grants(rules, "b", 8, 0, "rw")
    assert grants(rules, "b", 8, 1, "r")
    assert not grants(rules, "b", 8, 1, "w")
    assert not grants(rules, "b", 8, 1, "rw")
    assert grants(rules, "b", 8, 1, "rm")  # r from one rule, m from another


def test_a_rule_for_all_devices_voids_what_was_before() -> None:
    assert not grants([*CONTAINER, DENY_ALL], "c", 1, 3, "r")
    assert grants([*CONTAINER, {"allow": True, "type": "a"}], "b", 8, 0, "rwm")


def test_a_partial_rule_for_both_kinds_is_not_a_rule_for_everything() -> None:
    rules = [DENY_ALL, {"allow": True, "type": "a", "major": 10, "minor": 200, "access": "rw"}]
    assert grants(rules, "c", 10, 200, "rw")
    assert grants(rules, "b", 10, 200, "rw")
    assert not grants(rules, "c", 1, 3, "r")


def test_refusing_some_devices_of_all() -> None:
    rules: list[Any] = [{"allow": False, "type": "c", "major": 1, "minor": 1, "access": "rw"}]
    assert not grants(rules, "c", 1, 1, "r")
    assert grants(rules, "c", 1, 1, "m")
    assert grants(rules, "c", 1, 3, "rw")
    assert [rule.line for rule in devices.exceptions(devices.policy(rules))] == ["c 1:1 rw"]


@pytest.mark.parametrize("rule", [{"type": "x"}, {"type": "c", "access": "rx"}])
def test_nonsense_is_refused(rule: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        devices.policy([rule])


def test_legacy_exceptions_add_up_and_are_taken_back() -> None:
    rules: list[Any] = [
        DENY_ALL,
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "wm"},
        {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "rw"},
        {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "w"},
    ]
    lines = [rule.line for rule in devices.exceptions(devices.policy(rules))]
    assert lines == ["c 1:3 rwm", "b 8:0 r"]


def test_legacy_cannot_cut_a_hole() -> None:
    rules = [*CONTAINER, {"allow": False, "type": "c", "major": 136, "minor": 1, "access": "w"}]
    with pytest.raises(InvalidArgumentError, match="cgroup v1 cannot do"):
        devices.exceptions(devices.policy(rules))

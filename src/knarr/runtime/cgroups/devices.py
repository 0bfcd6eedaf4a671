"""Device rules: what they mean, as lines of cgroup v1 and as a BPF program for cgroup v2. Pure.

The law of both: for each wanted right (read, write, mknod) the last rule that speaks of this
device and this right decides; access is granted when every wanted right is. A rule for all devices
and all rights makes everything before it void.

Sources: kernel Documentation/admin-guide/cgroup-v1/devices.rst, ``struct bpf_cgroup_dev_ctx`` in
include/uapi/linux/bpf.h, kernel Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.runtime_spec import DeviceRule

ANY = -1
_RIGHTS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_ALL = 7
_KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*


class Rule(NamedTuple):
    """One rule for a kind of device, ``b`` or ``c``; ``rights`` is a set of ``_RIGHTS`` bits."""

    allow: bool
    kind: str
    major: int
    minor: int
    rights: int

    @property
    def line(self) -> str:
        """As ``devices.allow`` and ``devices.deny`` of cgroup v1 want it."""
        rights = "".join(letter for letter in "rwm" if self.rights & _RIGHTS[letter])
        return f"{self.kind} {_star(self.major)}:{_star(self.minor)} {rights}"

    def meets(self, other: Rule) -> bool:
        """Whether some device and right is spoken of by both rules."""
        return (
            self.kind == other.kind
            and bool(self.rights & other.rights)
            and (ANY in {self.major, other.major} or self.major == other.major)
            and (ANY in {self.minor, other.minor} or self.minor == other.minor)
        )


class Policy(NamedTuple):
    """What holds for a device that no rule names, and the rules, the last match deciding."""

    allow_others: bool
    rules: tuple[Rule, ...]

    @property
    def everything(self) -> bool:
        """Whether nothing is refused."""
        return self.allow_others and all(rule.allow for rule in self.rules)


def policy(rules: Iterable[DeviceRule]) -> Policy:
    """The policy that the rules of a spec make, beginning from "everything is allowed".

    Raises ``InvalidArgumentError`` for a type or a right that does not exist.
    """
    allow_others = True
    kept: list[Rule] = []
    for rule in rules:
        allow, kind = rule.get("allow", False), rule.get("type") or "a"
        if kind not in {"a", "b", "c", "u"}:
            raise InvalidArgumentError(f'invalid device type "{kind}"')
        major, minor = _number(rule.get("major")), _number(rule.get("minor"))
        rights = _rights(rule.get("access") or "rwm")
        if kind == "a" and (major, minor, rights) == (ANY, ANY, _ALL):
            allow_others = allow
            kept.clear()
            continue
        kinds = ("b", "c") if kind == "a" else ("c" if kind == "u" else kind,)
        kept.extend(Rule(allow, each, major, minor, rights) for each in kinds)
    return Policy(allow_others, tuple(kept))


def exceptions(wanted: Policy) -> list[Rule]:
    """The policy as cgroup v1 can hold it: a default and a set of exceptions from it, in order.

    v1 takes an exception back only when it is named exactly; a rule that would cut a hole into a
    wider one is refused with ``InvalidArgumentError`` and not silently ignored as the kernel does.
    """
    held: dict[tuple[str, int, int], int] = {}
    for rule in wanted.rules:
        key = rule[1:4]
        if rule.allow != wanted.allow_others:
            held[key] = held.get(key, 0) | rule.rights
            continue
        for other, rights in held.items():
            if other != key and rule.meets(Rule(not rule.allow, *other, rights)):
                raise InvalidArgumentError(
                    f'device rule "{rule.line}" takes back a part of a wider rule, which cgroup v1'
                    " cannot do"
                )
        if key in held:
            held[key] &= ~rule.rights
    return [Rule(not wanted.allow_others, *key, rights) for key, rights in held.items() if rights]


def parse_list(text: str) -> tuple[bool, set[str]]:
    """The content of ``devices.list`` of v1: whether all is allowed, else the allowed lines.

    The kernel writes ``a *:* rwm`` for the first and does not tell the exceptions from it.
    """
    lines = set(text.splitlines())
    return any(line.startswith("a ") for line in lines), lines


# BPF: opcodes as instruction-set.rst composes them from class, operation and source.
_LOAD_WORD = 0x61  # dst = *(u32 *)(src + off)
_MOV_IMM, _MOV_REG = 0xB7, 0xBF
_AND_IMM, _RIGHT_SHIFT = 0x57, 0x77
_JUMP, _JNE, _JSET = 0x05, 0x55, 0x45
_EXIT = 0x95
_WANTED, _KIND, _MAJOR, _MINOR = 2, 3, 4, 5  # registers; r1 is the context, r0 the result


def program(wanted: Policy) -> bytes:
    """The BPF_PROG_TYPE_CGROUP_DEVICE program that enforces the policy: 1 grants, 0 refuses.

    The rules are tried from the last to the first. An allowing rule crosses its rights off the
    wanted ones and grants when none is left; a refusing rule refuses when it meets one.
    """
    code = [
        _op(_LOAD_WORD, _KIND, 1, 0, 0),  # access_type: the rights in the upper 16 bits
        _op(_MOV_REG, _WANTED, _KIND, 0, 0),
        _op(_RIGHT_SHIFT, _WANTED, 0, 0, 16),
        _op(_AND_IMM, _KIND, 0, 0, 0xFFFF),
        _op(_LOAD_WORD, _MAJOR, 1, 4, 0),
        _op(_LOAD_WORD, _MINOR, 1, 8, 0),
    ]
    for rule in reversed(wanted.rules):
        code.extend(_check(rule))
    code.append(_op(_MOV_IMM, 0, 0, 0, int(wanted.allow_others)))
    code.append(_op(_EXIT, 0, 0, 0, 0))
    return b"".join(code)


def _check(rule: Rule) -> list[bytes]:
    """The instructions of one rule; where it does not match they fall through to what follows."""
    if rule.allow:
        act = [
            _op(_AND_IMM, _WANTED, 0, 0, ~rule.rights & _ALL),
            _op(_JNE, _WANTED, 0, 2, 0),
            _op(_MOV_IMM, 0, 0, 0, 1),
            _op(_EXIT, 0, 0, 0, 0),
        ]
    else:
        act = [
            _op(_JSET, _WANTED, 0, 1, rule.rights),
            _op(_JUMP, 0, 0, 2, 0),
            _op(_MOV_IMM, 0, 0, 0, 0),
            _op(_EXIT, 0, 0, 0, 0),
        ]
    tests = [(_KIND, _KINDS[rule.kind])]
    tests += [(_MAJOR, rule.major)] if rule.major != ANY else []
    tests += [(_MINOR, rule.minor)] if rule.minor != ANY else []
    skips = range(len(tests) - 1 + len(act), len(act) - 1, -1)
    return [
        *(
            _op(_JNE, register, 0, skip, value)
            for (register, value), skip in zip(tests, skips, strict=True)
        ),
        *act,
    ]


def _op(opcode: int, destination: int, source: int, offset: int, immediate: int) -> bytes:
    registers = source << 4 | destination
    return struct.pack("=BBhI", opcode, registers, offset, immediate & 0xFFFFFFFF)


def _number(value: int | None) -> int:
    return ANY if value is None or value < 0 else value


def _rights(access: str) -> int:
    rights = 0
    for letter in access:
        if letter not in _RIGHTS:
            raise InvalidArgumentError(f'invalid device access "{access}"')
        rights |= _RIGHTS[letter]
    return rights


def _star(number: int) -> str:
    return "*" if number == ANY else str(number)

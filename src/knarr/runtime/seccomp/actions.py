"""The words of the OCI spec for seccomp, and the numbers behind them. Pure.

Sources: OCI runtime-spec config-linux.md (seccomp), seccomp(2), linux/seccomp.h (an ``SCMP_ACT_``
value of libseccomp is the kernel's ``SECCOMP_RET_`` value), linux/audit.h.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError, UnimplementedError

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import SeccompArg

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
_TRACE = 0x7FF00000
_LOG = 0x7FFC0000
_MAX_ERRNO = 4095

_ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}

_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ARGUMENTS = 6


def action_names() -> list[str]:
    """The actions that a filter may have."""
    return list(_ACTIONS)


def operator_names() -> list[str]:
    """The comparisons that a rule may have."""
    return list(_OPERATORS)


def action(name: str, errno_return: int | None) -> int:
    """The value of an action; ``errno_return`` counts for ERRNO and TRACE, EPERM if None.

    Raises ``InvalidArgumentError`` for an unknown one, ``UnimplementedError`` for NOTIFY.
    """
    if name == "SCMP_ACT_NOTIFY":
        raise UnimplementedError(
            "seccomp action SCMP_ACT_NOTIFY is not supported: there is no agent to notify"
        )
    if name not in _ACTIONS:
        raise InvalidArgumentError(f'string "{name}" is not a valid action for seccomp')
    value = _ACTIONS[name]
    if value not in {ERRNO, _TRACE}:
        return value
    number = errno.EPERM if errno_return is None else errno_return
    if not 0 <= number <= _MAX_ERRNO:
        raise InvalidArgumentError(f"seccomp errnoRet {number} is not an error number")
    return value | number


def refuses(value: int) -> bool:
    """Whether the action keeps a system call from being done, without asking a tracer."""
    return value not in {ALLOW, _LOG} and value & 0xFFFF0000 != _TRACE


def condition(argument: SeccompArg) -> tuple[int, int, int, int]:
    """A condition as libseccomp wants it: index, operator, two values."""
    operator, index = argument.get("op", ""), argument.get("index", 0)
    if operator not in _OPERATORS:
        raise InvalidArgumentError(f'string "{operator}" is not a valid operator for seccomp')
    if not 0 <= index < _ARGUMENTS:
        raise InvalidArgumentError(f"seccomp argument index {index} is not one of 0 to 5")
    mask = (1 << 64) - 1
    return (
        index,
        _OPERATORS[operator],
        argument.get("value", 0) & mask,
        argument.get("valueTwo", 0) & mask,
    )


# System calls that are newer than libraries in use (libseccomp 2.5.4 ends with 5.17). From 424 on
# a call has the same number on every architecture but MIPS, whose tables have offsets.
NEW_CALLS = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}

X32_BIT = 0x40000000
AUDIT_X86_64 = 0xC000003E
TOKEN_X32 = 0x4000003E  # libseccomp's own; the kernel says AUDIT_X86_64 and sets X32_BIT
TOKENS_S390 = frozenset({0x16, 0x80000016})

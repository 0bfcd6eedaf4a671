"""Resource limits by name. Pure.

Law: a hard limit above what this process has needs CAP_SYS_RESOURCE; without it the container gets
what there is, and the plan says so. Source: setrlimit(2).
"""

from __future__ import annotations

import resource
import struct
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime.ops import Operation
from knarr.runtime.table import Call, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.oci.runtime_spec import Rlimit

_RLIMIT_LOCKS = 10  # without effect since Linux 2.4.25, and unknown to Python

NUMBERS: dict[str, int] = {
    "RLIMIT_LOCKS": _RLIMIT_LOCKS,
    **{
        name: getattr(resource, name)
        for name in (
            "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE",
            "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
            "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
        )
    },
}  # fmt: skip

INFINITY = (1 << 64) - 1


def set_limits(
    wanted: Sequence[Rlimit], granted: Mapping[str, int], *, may_raise: bool
) -> tuple[Operation, list[str]]:
    """The operation that sets the limits, and a warning for each that had to be lowered.

    ``granted`` holds the present hard limits; ``INFINITY`` is unlimited.
    """
    limits, warnings = granted_limits(wanted, granted, may_raise=may_raise)
    calls: list[Call] = []
    shown: list[str] = []
    for limit in limits:
        name, soft, hard = limit["type"], limit["soft"], limit["hard"]
        calls.append(call("prlimit64", 0, NUMBERS[name], struct.pack("=QQ", soft, hard), 0))
        shown.append(f"{name}={soft}:{hard}")
    return Operation("set resource limits", f"prlimit({', '.join(shown)})", tuple(calls)), warnings


def granted_limits(
    wanted: Sequence[Rlimit], granted: Mapping[str, int], *, may_raise: bool
) -> tuple[list[Rlimit], list[str]]:
    """The limits as they can be set, and a warning for each that had to be lowered."""
    limits: list[Rlimit] = []
    warnings: list[str] = []
    for limit in wanted:
        name = limit["type"]
        if name not in NUMBERS:
            raise InvalidArgumentError(f'invalid rlimit type "{name}"')
        soft, hard = _unsigned(limit["soft"]), _unsigned(limit["hard"])
        if soft > hard:
            raise InvalidArgumentError(
                f"{name}: the soft limit {soft} is above the hard one {hard}"
            )
        most = INFINITY if may_raise else granted.get(name, INFINITY)
        if hard > most:
            warnings.append(f"{name} is {most}, because it cannot be raised to {limit['hard']}")
            soft, hard = min(soft, most), most
        limits.append({"type": name, "soft": soft, "hard": hard})
    return limits, warnings


def _unsigned(value: int) -> int:
    return INFINITY if value < 0 else value

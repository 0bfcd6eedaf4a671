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
    calls: list[Call] = []
    shown: list[str] = []
    warnings: list[str] = []
    for limit in wanted:
        name = limit["type"]
        number = NUMBERS.get(name)
        if number is None:
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
        calls.append(call("prlimit64", 0, number, struct.pack("=QQ", soft, hard), 0))
        shown.append(f"{name}={soft}:{hard}")
    return Operation("set resource limits", f"prlimit({', '.join(shown)})", tuple(calls)), warnings


def _unsigned(value: int) -> int:
    return INFINITY if value < 0 else value

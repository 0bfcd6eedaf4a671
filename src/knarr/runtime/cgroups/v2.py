"""OCI resources as settings of cgroup v2 controllers. Pure.

The OCI spec speaks in the units of v1; the conversions are those that runc and crun use, so that
a container gets the same weight under each. Sources: kernel
Documentation/admin-guide/cgroup-v2.rst, OCI runtime-spec config-linux.md, docs/cgroup-v2.md of
runc.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime.cgroups import v1
from knarr.runtime.cgroups.setting import Setting

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import BlockIO, Cpu, Memory

_SHARES_MAX = 262144  # v1: 2 to 2**18, default 1024
_WEIGHT_MAX = 10000  # v2: 1 to 10**4, default 100


def cpu_weight(shares: int) -> int:
    """The ``cpu.weight`` for v1 shares: 2 gives 1, 1024 gives 100, 262144 gives 10000.

    Older runtimes used a straight line, which made of the default 1024 a weight of 39. The curve
    is quadratic in the logarithm and meets all three points (runc 1.3, crun 1.23).
    """
    if shares <= 2:
        return 1
    if shares >= _SHARES_MAX:
        return _WEIGHT_MAX
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """The ``io.weight`` (1 to 10000) for a v1 block I/O weight (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


def memory(wanted: Memory) -> list[Setting]:
    """The settings of the memory controller. Swappiness and the OOM switch do not exist on v2.

    v1 limits memory plus swap, v2 swap alone. Swap comes first: where it is refused nothing else
    has changed yet.
    """
    limit, swap = wanted.get("limit", 0), wanted.get("swap", 0)
    v1.check_swap(limit, swap)
    settings = []
    if swap > 0:
        # A limit of exactly no swap is met as well where the kernel does not count swap.
        alone = str(swap - limit)
        settings.append(Setting("memory", "memory.swap.max", alone, optional=alone == "0"))
    elif swap < 0 or limit < 0:
        settings.append(Setting("memory", "memory.swap.max", "max", optional=True))
    if limit:
        settings.append(Setting("memory", "memory.max", _or_max(limit)))
    if reservation := wanted.get("reservation", 0):
        settings.append(Setting("memory", "memory.low", _or_max(reservation)))
    return settings


def cpu(wanted: Cpu) -> list[Setting]:
    """The settings of the cpu controller; a period without a quota means no quota."""
    if wanted.get("realtimeRuntime") or wanted.get("realtimePeriod"):
        raise FailedPreconditionError(
            "cgroup v2 has no realtime limits",
            hint="leave out --cpu-rt-runtime and --cpu-rt-period",
        )
    settings = []
    if shares := wanted.get("shares", 0):
        settings.append(Setting("cpu", "cpu.weight", str(cpu_weight(shares))))
    quota, period = wanted.get("quota", 0), wanted.get("period", 0)
    if quota or period:
        value = _or_max(quota) if quota else "max"
        settings.append(Setting("cpu", "cpu.max", f"{value} {period}" if period else value))
    if burst := wanted.get("burst", 0):
        settings.append(Setting("cpu", "cpu.max.burst", str(burst)))
    if (idle := wanted.get("idle")) is not None:
        settings.append(Setting("cpu", "cpu.idle", str(idle)))
    return settings


def io(wanted: BlockIO) -> list[Setting]:
    """The settings of the io controller; BFQ takes v1's weights as they are."""
    settings = []
    if weight := wanted.get("weight", 0):
        cost = Setting("io", "io.weight", f"default {io_weight(weight)}")
        settings.append(Setting("io", "io.bfq.weight", str(weight), cost))
    for device in wanted.get("weightDevice", ()):
        if own := device.get("weight", 0):
            where = f"{device['major']}:{device['minor']}"
            cost = Setting("io", "io.weight", f"{where} {io_weight(own)}")
            settings.append(Setting("io", "io.bfq.weight", f"{where} {own}", cost))
    settings.extend(
        Setting("io", "io.max", f"{where} {key}={rate or 'max'}")
        for key, where, rate in v1.rates(wanted, "rbps", "wbps", "riops", "wiops")
    )
    return settings


def unified(wanted: dict[str, str]) -> list[Setting]:
    """The files that the spec names itself (``unified`` of the OCI spec)."""
    for file in wanted:
        if (
            "/" in file
            or file.startswith((".", "cgroup.procs", "cgroup.threads"))
            or "." not in file
        ):
            raise InvalidArgumentError(
                f'unified resource "{file}" must be the name of a control file'
            )
    return [Setting(file.partition(".")[0], file, value) for file, value in wanted.items()]


def _or_max(value: int) -> str:
    return str(value) if value > 0 else "max"

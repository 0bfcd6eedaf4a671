"""Capabilities by name and as sets of bits. Pure.

Source: capabilities(7), include/uapi/linux/capability.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.runtime_spec import Capabilities

# In the order of their numbers.
NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip

_BITS = {name: 1 << number for number, name in enumerate(NAMES)}


class Sets(NamedTuple):
    """The five sets of a process as bit masks."""

    bounding: int = 0
    effective: int = 0
    inheritable: int = 0
    permitted: int = 0
    ambient: int = 0


def mask(names: Iterable[str]) -> int:
    """The names as bits. Raises ``InvalidArgumentError`` for a name that is no capability."""
    bits = 0
    for name in names:
        bit = _BITS.get(name)
        if bit is None:
            raise InvalidArgumentError(f'unknown capability "{name}"')
        bits |= bit
    return bits


def sets(wanted: Capabilities, available: int) -> tuple[Sets, int]:
    """The sets of ``wanted`` without what this process cannot give, and that missing rest."""
    asked = Sets(
        mask(wanted.get("bounding") or ()),
        mask(wanted.get("effective") or ()),
        mask(wanted.get("inheritable") or ()),
        mask(wanted.get("permitted") or ()),
        mask(wanted.get("ambient") or ()),
    )
    missing = (asked.bounding | asked.effective | asked.permitted | asked.inheritable) & ~available
    return Sets(*(each & available for each in asked)), missing


def shown(bits: int) -> str:
    """The names in ``bits``, without their prefix."""
    names = [name.removeprefix("CAP_") for name in NAMES if bits & _BITS[name]]
    return "|".join(names) or "0"

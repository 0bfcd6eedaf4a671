"""Operations that take rights away: user, capabilities, seccomp, no_new_privs, LSM labels. Pure.

Order: bounding set, user, filter, capabilities, because without no_new_privs a filter needs
CAP_SYS_ADMIN; with it the filter is last. What is called after the filter must pass it.
Sources: capabilities(7), seccomp(2), prctl(2).
"""

from __future__ import annotations

import errno
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from knarr.runtime import capabilities
from knarr.runtime.ops import AT_FDCWD, Operation
from knarr.runtime.table import Slot, Words, call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.runtime.capabilities import Sets

_REMEMBERED = 64  # operations: containers are much alike
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER = 1
_AT_EMPTY_PATH = 0x1000
_O_WRONLY_CLOEXEC = 0o2000001
_ATTRIBUTES = "/proc/thread-self/attr"


def own_streams(descriptors: Sequence[int], uid: int) -> Operation:
    """Let ``uid`` open its streams again (/dev/stdout), where they are pipes or sockets."""
    calls = tuple(
        call(
            "fchownat", each, "", uid, -1, _AT_EMPTY_PATH,
            allow=(errno.EPERM, errno.EINVAL, errno.EROFS),
        )
        for each in descriptors
    )  # fmt: skip
    text = f"fchown({{{', '.join(map(str, descriptors))}}}, {uid}, -1)"
    return Operation("give away standard streams", text, calls)


@lru_cache(_REMEMBERED)
def drop_bounding(keep: int, last: int) -> Operation:
    """Remove every capability but ``keep`` from the bounding set."""
    dropped = [number for number in range(last + 1) if not keep >> number & 1]
    return Operation(
        "drop capabilities from the bounding set",
        f"prctl(PR_CAPBSET_DROP, {{all but {capabilities.shown(keep)}}})",
        tuple(call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0) for number in dropped),
    )


def set_user(uid: int, gid: int, groups: Sequence[int], held: int) -> Operation:
    """Become the user, and keep the capabilities ``held`` for what follows."""
    raw = struct.pack(f"={len(groups)}I", *groups) if groups else b"\0"
    regain = _capset(held, held, 0)
    return Operation(
        f"become user {uid}:{gid}",
        f"setgroups({list(groups)}); setresgid({gid}); setresuid({uid})",
        (
            call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0),
            call("setgroups", len(groups), raw),
            call("setresgid", gid, gid, gid),
            call("setresuid", uid, uid, uid),
            call("capset", *regain),
            call("prctl", _PR_SET_KEEPCAPS, 0, 0, 0, 0),
        ),
    )


@lru_cache(_REMEMBERED)
def set_capabilities(sets: Sets) -> Operation:
    """Set the effective, permitted and inheritable set, and the ambient one.

    The ambient set holds only what is permitted and inheritable, too; the rest is left out as
    other runtimes do, because specifications with such a rest are common.
    """
    bits = sets.ambient & sets.permitted & sets.inheritable
    ambient = [number for number in range(64) if bits >> number & 1]
    return Operation(
        "set capabilities",
        f"capset({capabilities.shown(sets.permitted)})",
        (
            call("capset", *_capset(sets.effective, sets.permitted, sets.inheritable)),
            call(
                "prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0,
                allow=(errno.EINVAL,),
            ),
            *(
                call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
                for number in ambient
            ),
        ),
    )  # fmt: skip


@lru_cache(_REMEMBERED)
def no_new_privileges() -> Operation:
    """Let no exec give rights (set-user-ID programs, file capabilities)."""
    return Operation(
        "set no_new_privs",
        "prctl(PR_SET_NO_NEW_PRIVS, 1)",
        (call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),),
    )


@lru_cache(_REMEMBERED)
def load_filter(program: bytes, flags: int) -> Operation:
    """Load the compiled seccomp ``program``."""
    count = len(program) // 8
    return Operation(
        "load seccomp filter",
        f"seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {{{count} instructions}})",
        (
            call(
                "seccomp", _SECCOMP_SET_MODE_FILTER, flags,
                Words("struct sock_fprog", (count, program)),
            ),
        ),
    )  # fmt: skip


def set_label(kind: str, label: str) -> Operation:
    """Let exec change to the profile or context ``label``; ``kind`` is apparmor or selinux."""
    content = f"exec {label}" if kind == "apparmor" else label
    descriptor = Slot("label")
    opened = call("openat", AT_FDCWD, f"{_ATTRIBUTES}/exec", _O_WRONLY_CLOEXEC, 0, store=descriptor)
    if kind == "apparmor":  # its own directory since Linux 5.8, where several LSMs are in use
        first = (AT_FDCWD, f"{_ATTRIBUTES}/apparmor/exec", _O_WRONLY_CLOEXEC, 0)
        opened = opened._replace(args=first, allow=(errno.ENOENT,)).otherwise(opened)
    raw = content.encode()
    return Operation(
        f"set {kind} label {label}",
        f'write("/proc/thread-self/attr/exec", "{content}")',
        (opened, call("write", descriptor, raw, len(raw)), call("close", descriptor)),
    )


def _capset(effective: int, permitted: int, inheritable: int) -> tuple[bytes, bytes]:
    low, high = 0xFFFFFFFF, 32
    data = struct.pack(
        "=6I",
        effective & low, permitted & low, inheritable & low,
        effective >> high, permitted >> high, inheritable >> high,
    )  # fmt: skip
    return struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), data

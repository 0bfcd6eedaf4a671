"""The numbers of system calls that a table of calls may hold.

Scope: data. Calls that are newer than 2019 have one number on every architecture; of the older
ones x86-64 has its own list and the others share the generic one (asm-generic/unistd.h).
"""

from __future__ import annotations

import os

# By name, on x86-64 and in the generic list.
_OLD = {
    "capset": (126, 91),
    "chdir": (80, 49),
    "close": (3, 57),
    "dup3": (292, 24),
    "execve": (59, 221),
    "exit_group": (231, 94),
    "fchdir": (81, 50),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "keyctl": (250, 219),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "openat": (257, 56),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "read": (0, 63),
    "seccomp": (317, 277),
    "sendmsg": (46, 211),
    "setdomainname": (171, 162),
    "setgroups": (116, 159),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "socket": (41, 198),
    "symlinkat": (266, 36),
    "umask": (95, 166),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "write": (1, 64),
}

_NEW = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "openat2": 437,
    "faccessat2": 439,
    "mount_setattr": 442,
}

_COLUMNS = {"x86_64": 0, "aarch64": 1, "riscv64": 1, "loongarch64": 1}


def of(machine: str) -> dict[str, int]:
    """The number of each call on ``machine``, as ``uname -m`` names it.

    Raises ``NotImplementedError`` for an architecture that nobody has looked up yet.
    """
    column = _COLUMNS.get(machine)
    if column is None:
        raise NotImplementedError(f"the system call numbers of {machine} are not known")
    return {name: numbers[column] for name, numbers in _OLD.items()} | _NEW


HERE = of(os.uname().machine)

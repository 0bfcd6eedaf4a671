"""fstatfs(2), for the one thing that os.fstatvfs does not tell: the type of a file system.

Scope: the type of an open file's file system, which may be open with O_PATH, and the types that
the kernel makes up itself (their files are interfaces, not data).
"""

from __future__ import annotations

import ctypes

from . import _libc

_SIZE = 256  # more than struct statfs has on any architecture
_fstatfs = _libc.function("fstatfs", ctypes.c_int, ctypes.c_void_p)

KERNEL_TYPES = frozenset(
    (
        0x187,  # autofs
        0x1CD1,  # devpts
        0x9FA0,  # proc
        0x27E0EB,  # cgroup
        0x19800202,  # mqueue
        0x42494E4D,  # binfmt_misc
        0x62656570,  # configfs
        0x62656572,  # sysfs
        0x63677270,  # cgroup2
        0x64626720,  # debugfs
        0x65735543,  # fusectl
        0x6165676C,  # pstore
        0x6E736673,  # nsfs
        0x73636673,  # securityfs
        0x74726163,  # tracefs
        0xCAFE4A11,  # bpf
        0xDE5E81E4,  # efivarfs
        0xF97CFF8C,  # selinux
    )
)
"""Magic numbers of file systems whose files the kernel makes up when they are read (linux/magic.h,
and the source of those that are not there)."""


def kind(fd: int) -> int:
    """The magic number of the file system that ``fd`` is on."""
    buffer = ctypes.create_string_buffer(_SIZE)
    _fstatfs(fd, ctypes.addressof(buffer))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def is_kernels(fd: int) -> bool:
    """Whether the kernel makes the files of that file system up."""
    return kind(fd) in KERNEL_TYPES

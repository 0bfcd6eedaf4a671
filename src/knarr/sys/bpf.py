"""bpf(2): load programs for cgroups and attach them.

Scope: the few commands that a device filter needs. Verification, pinning and maps are beyond it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from typing import TYPE_CHECKING

from knarr.sys import _libc

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = {"x86_64": 321, "s390x": 351, "ppc64le": 361}  # 280 in the generic table of the others
_NUMBER = _NUMBERS.get(os.uname().machine, 280)

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_DETACH = 9
_PROG_GET_FD_BY_ID = 13
_PROG_QUERY = 16

_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_REPLACE = 4
_QUERY_LIMIT = 64  # the kernel's own limit of programs on one cgroup (BPF_CGROUP_MAX_PROGS)
_LOG_SIZE = 16384
_ATTEMPTS = 10


def prog_load_cgroup_device(instructions: bytes, name: str) -> int:
    """Load a BPF_PROG_TYPE_CGROUP_DEVICE program; the caller closes the descriptor (cloexec).

    On EINVAL and EACCES a note holds the end of the verifier's log.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    log = ctypes.create_string_buffer(_LOG_SIZE)
    attributes = struct.pack(
        "=IIQQIIQII16sII",
        _TYPE_CGROUP_DEVICE,
        len(instructions) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
        name.encode()[:15],
        0,
        _ATTACH_CGROUP_DEVICE,
    )
    try:
        return _again(lambda: _bpf(_PROG_LOAD, attributes))
    except OSError as error:
        # Once more with the log, which costs time and can itself fail where it is too short.
        verbose = struct.pack("=IIQ", 1, _LOG_SIZE, ctypes.addressof(log))
        try:
            return _bpf(_PROG_LOAD, attributes[:24] + verbose + attributes[40:])
        except OSError:
            raise _libc.annotate(
                error, None, f"bpf(2) BPF_PROG_LOAD: {log.value[-500:].decode('ascii', 'replace')}"
            ) from None


def _again(call: Callable[[], int]) -> int:
    """Repeat a call while the kernel says EAGAIN: it stops verifying when a signal is waiting."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(BlockingIOError):
            return call()
    return call()


def prog_attach(cgroup: int, program: int, replace: int = -1) -> None:
    """Attach a device program to the cgroup v2 directory ``cgroup`` beside others that are there.

    With ``replace`` (a program descriptor) it takes that program's place in one step (Linux 5.6).
    """
    flags = _ALLOW_MULTI | (_REPLACE if replace >= 0 else 0)
    attributes = struct.pack(
        "=IIIII", cgroup, program, _ATTACH_CGROUP_DEVICE, flags, max(replace, 0)
    )
    _bpf(_PROG_ATTACH, attributes)


def prog_detach(cgroup: int, program: int) -> None:
    """Take the device program ``program`` off the cgroup v2 directory ``cgroup``."""
    _bpf(_PROG_DETACH, struct.pack("=III", cgroup, program, _ATTACH_CGROUP_DEVICE))


def prog_query(cgroup: int) -> list[int]:
    """The ids of the device programs attached to this very cgroup, first attached first."""
    ids = (ctypes.c_uint32 * _QUERY_LIMIT)()
    attributes = struct.pack(
        "=IIIIQII", cgroup, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _QUERY_LIMIT, 0
    )
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    _bpf_buffer(_PROG_QUERY, buffer)
    count: int = struct.unpack_from("=I", buffer.raw, 24)[0]
    return list(ids[:count])


def prog_get_fd_by_id(identity: int) -> int:
    """A descriptor of the loaded program ``identity``; the caller closes it (cloexec)."""
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", identity, 0, 0))


def _bpf(command: int, attributes: bytes) -> int:
    return _bpf_buffer(command, ctypes.create_string_buffer(attributes, len(attributes)))


def _bpf_buffer(command: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    try:
        return _libc.syscall(
            _NUMBER, ctypes.c_int(command), ctypes.byref(buffer), ctypes.c_uint(len(buffer))
        )
    except OSError as error:
        note = f"bpf(2) command={command}"
        raise _libc.annotate(error, None, note) from None

"""libseccomp.so.2, which compiles rules to a filter, and seccomp(2), which loads one.

Law: the library is loaded at the first call and not at import, because a filter that is cached
needs none. Functions are named as in the library, without ``seccomp_``; a failure raises
``OSError``, also for the library itself when it is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Any

from knarr.sys import _libc

if TYPE_CHECKING:
    from collections.abc import Sequence

NR_ERROR = -1  # __NR_SCMP_ERROR: the library does not know the name
ATTR_CTL_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE, from 2.5.0

FLAG_LOG = 2  # SECCOMP_FILTER_FLAG_*
FLAG_SPEC_ALLOW = 4
FLAG_WAIT_KILLABLE_RECV = 16

_SET_MODE_FILTER = 1
_NUMBERS = {"x86_64": 317, "s390x": 348, "ppc64le": 358}  # 277 in the generic table of the others
_NUMBER = _NUMBERS.get(os.uname().machine, 277)

_library: Any = None


class _ArgCmp(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _SockFprog(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _load() -> Any:
    global _library  # noqa: PLW0603 - a shared library is loaded once for the process
    if _library is None:
        library = ctypes.CDLL("libseccomp.so.2")
        for name, result, *arguments in (
            ("seccomp_init", ctypes.c_void_p, ctypes.c_uint32),
            ("seccomp_release", None, ctypes.c_void_p),
            ("seccomp_arch_add", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32),
            ("seccomp_arch_native", ctypes.c_uint32),
            ("seccomp_arch_resolve_name", ctypes.c_uint32, ctypes.c_char_p),
            (
                "seccomp_syscall_resolve_name_arch",
                ctypes.c_int,
                ctypes.c_uint32,
                ctypes.c_char_p,
            ),
            ("seccomp_attr_set", ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32),
            (
                "seccomp_rule_add_array",
                ctypes.c_int,
                ctypes.c_void_p,
                ctypes.c_uint32,
                ctypes.c_int,
                ctypes.c_uint,
                ctypes.c_void_p,
            ),
            ("seccomp_export_bpf", ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
        ):
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
        _library = library
    return _library


def init(default_action: int) -> int:
    """A new filter that does ``default_action`` (an ``SCMP_ACT_`` value); ends with ``release``."""
    context: int | None = _load().seccomp_init(default_action)
    if not context:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return context


def release(context: int) -> None:
    """Free the filter."""
    _load().seccomp_release(context)


def arch_native() -> int:
    """The ``SCMP_ARCH_`` token of this machine."""
    token: int = _load().seccomp_arch_native()
    return token


def arch_resolve_name(name: str) -> int:
    """The token of an architecture by its name without ``SCMP_ARCH_``, lower-case; 0 if unknown."""
    token: int = _load().seccomp_arch_resolve_name(name.encode())
    return token


def arch_add(context: int, token: int) -> None:
    """Add an architecture; one that is in the filter already is no error."""
    result: int = _load().seccomp_arch_add(context, token)
    if result != -errno.EEXIST:
        _check(result, f"seccomp_arch_add {token:#x}")


def syscall_resolve_name_arch(token: int, name: str) -> int:
    """The number of a system call, negative where that architecture lacks it, or ``NR_ERROR``."""
    number: int = _load().seccomp_syscall_resolve_name_arch(token, name.encode())
    return number


def attr_set(context: int, attribute: int, value: int) -> None:
    """Set an attribute (``ATTR_``) of the filter."""
    _check(_load().seccomp_attr_set(context, attribute, value), f"seccomp_attr_set {attribute}")


def rule_add(
    context: int, action: int, number: int, conditions: Sequence[tuple[int, int, int, int]]
) -> None:
    """Do ``action`` for the native system call ``number`` when all conditions hold.

    A condition is the argument's index, an ``SCMP_CMP_`` operator and its two values. Other
    architectures of the filter get the call of the same name.
    """
    array = (_ArgCmp * len(conditions))(*(_ArgCmp(*each) for each in conditions))
    result = _load().seccomp_rule_add_array(
        context, action, number, len(conditions), ctypes.addressof(array)
    )
    _check(result, f"seccomp_rule_add_array action={action:#x} syscall={number}")


def export_bpf(context: int, descriptor: int) -> None:
    """Write the program (an array of struct sock_filter) to a file."""
    _check(_load().seccomp_export_bpf(context, descriptor), "seccomp_export_bpf")


def set_mode_filter(program: bytes, flags: int = 0) -> None:
    """Load ``program`` for the calling thread and all that it will be; it cannot be taken back.

    The thread needs CAP_SYS_ADMIN or no_new_privs.
    """
    code = ctypes.create_string_buffer(program, len(program))
    fprog = _SockFprog(len(program) // 8, ctypes.addressof(code))
    try:
        _libc.syscall(
            _NUMBER, ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(flags), ctypes.byref(fprog)
        )
    except OSError as error:
        note = f"seccomp(2) SET_MODE_FILTER flags={flags:#x} instructions={len(program) // 8}"
        raise _libc.annotate(error, None, note) from None


def _check(result: int, note: str) -> None:
    if result < 0:
        error = OSError(-result, os.strerror(-result))
        error.add_note(note)
        raise error

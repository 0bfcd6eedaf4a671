"""The one place where C functions get their prototypes.

Law: a prototype is made once, at import of the module that uses it, by ``function``; argtypes are
never assigned again. ``errcheck`` turns a negative result into ``OSError``; the caller adds the
path and the note, see ``call``.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_syscall = _LIBC.syscall
_syscall.restype = ctypes.c_long


def function(name: str, *argtypes: Any, restype: Any = ctypes.c_int) -> Any:
    """The libc function ``name`` with these C types; a negative result raises ``OSError``."""
    prototype = ctypes.CFUNCTYPE(restype, *argtypes, use_errno=True)
    bound: Any = prototype((name, _LIBC))
    bound.errcheck = _raise_if_negative
    return bound


def syscall(number: int, *args: Any) -> int:
    """The raw system call ``number``; every argument must be a ctypes value or None.

    For calls that the C library has no wrapper for. A negative result raises ``OSError``.
    """
    result: int = _syscall(ctypes.c_long(number), *args)
    return _raise_if_negative(result, None, ())


def _raise_if_negative(result: int, _function: object, _args: object) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def annotate(error: OSError, path: object, note: str) -> OSError:
    """The same error naming ``path`` as its file and carrying ``note`` (the call and its flags)."""
    named = OSError(error.errno, error.strerror, path) if path is not None else error
    named.add_note(note)
    return named

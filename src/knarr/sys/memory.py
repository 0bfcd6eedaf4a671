"""How a long-lived process uses memory and when it looks for garbage.

Sources: mallopt(3); the module ``gc``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

from knarr.sys._libc import function

_M_ARENA_MAX = -8
_ALLOCATIONS_BEFORE_A_LOOK = 10_000

_mallopt = function("mallopt", ctypes.c_int, ctypes.c_int)


def one_arena() -> None:
    """Let all threads share one heap; to be called before there is a second thread.

    The C library gives each thread a heap of its own, which keeps what it has once had. The
    interpreter's lock lets one thread at a time allocate anyway.
    """
    with contextlib.suppress(AttributeError, OSError):  # a C library that has no such setting
        _mallopt(_M_ARENA_MAX, 1)


def settle() -> None:
    """What is there now stays: the collector need not look at it, and looks for new cycles rarely.

    Hardly anything here makes cycles, and by default every 700 allocations start a look.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BEFORE_A_LOOK, 20, 20)

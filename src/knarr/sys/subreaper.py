"""Becoming the parent of orphans, prctl(2) PR_SET_CHILD_SUBREAPER."""

from __future__ import annotations

import ctypes

from . import _libc

_PR_SET_CHILD_SUBREAPER = 36

_prctl = _libc.function("prctl", ctypes.c_int, *(ctypes.c_ulong,) * 4)


def become_subreaper() -> None:
    """Be the parent of every descendant that loses its own; holds for the life of the process."""
    try:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except OSError as error:
        raise _libc.annotate(error, None, "prctl(2) PR_SET_CHILD_SUBREAPER") from None

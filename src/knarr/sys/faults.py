"""Fault points: places where a test can end the process as a power cut would.

Law: a point costs one dictionary look-up when no fault is asked for. ``KNARR_FAULT=name`` kills
the process with SIGKILL when it passes the point of that name; ``name:N`` at the N-th passage.
"""

from __future__ import annotations

import os
import signal

_passages: dict[str, int] = {}


def point(name: str) -> None:
    """Pass the fault point ``name``; does not return when the environment asks for a fault here."""
    wanted = os.environ.get("KNARR_FAULT")
    if wanted is None:
        return
    target, _, count = wanted.partition(":")
    if target != name:
        return
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)

"""Waiting for what a test expects to happen soon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 30.0 * float(os.environ.get("KNARR_TEST_PATIENCE", "1"))


def until(look: Callable[[], T]) -> T:
    """What ``look`` answers as soon as that is true; fails with its last answer."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"it has not happened: {found!r}"
        time.sleep(0.05)
    return found

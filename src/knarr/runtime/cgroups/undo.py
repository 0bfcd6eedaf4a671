"""What stood in control files before they were changed, so that a change can be taken back.

A control file does not always take what it shows: some show a line for each device, and a device
without a line has no limit.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

from knarr.runtime.cgroups import files

_DEVICE = re.compile(r"(\d+:\d+) (.+)")


class Earlier(NamedTuple):
    """Write ``value`` to ``path`` to have it as it was."""

    path: str
    value: str


def earlier(path: str, value: str) -> Earlier | None:
    """What undoes a write of ``value`` to ``path``; None where there is no such file."""
    text = files.find(path)
    if text is None:
        return None
    if device := _DEVICE.fullmatch(value):
        return Earlier(path, f"{device[1]} {_of_device(text, path, *device.groups())}")
    # ``memory.oom_control`` shows names, weights show devices below the default.
    first = text.partition("\n")[0]
    if path.endswith("memory.oom_control"):
        first = first.rpartition(" ")[2]
    return Earlier(path, first or "\n")


def _of_device(text: str, path: str, device: str, value: str) -> str:
    """What the file says of a device: a number, or a key and its value as ``rbps=max``."""
    key, equals, _ = value.partition("=")
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name != device:
            continue
        if not equals:
            return rest
        pairs = dict(pair.partition("=")[::2] for pair in rest.split())
        return f"{key}={pairs.get(key, 'max')}"
    if equals:
        return f"{key}=max"
    return "default" if path.endswith("io.weight") else "0"


def restore(changes: list[Earlier]) -> None:
    """Take changes back, the last one first. What cannot be taken back stays as it is.

    Twice, because limits that depend on each other may have to go back in another order.
    """
    for _ in range(2):
        for change in reversed(changes):
            with contextlib.suppress(OSError):
                files.write_raw(*change)

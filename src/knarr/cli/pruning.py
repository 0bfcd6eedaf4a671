"""What all ``prune`` commands share: the question, the filters, the report."""

from __future__ import annotations

import os
import sys

from knarr.cli.quantities import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.cli.flags import FlagRow

PRUNE_FLAGS: tuple[FlagRow, ...] = (
    ("filter", "", "filter", "", "Remove only those that match (name=value)"),
    ("force", "f", "", False, "Do not ask"),
)


def confirm(warning: str) -> bool:
    """Ask whether to go on; anything but y or Y is no."""
    print(f"{warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    answer = b""
    while not answer.endswith(b"\n") and (character := os.read(0, 1)):
        answer += character
    return answer.strip().lower() == b"y"


def report(title: str, names: Sequence[str], reclaimed: int) -> None:
    """Print what was removed and how much space it gave back."""
    if names:
        print(f"{title}:")
        for name in names:
            print(name)
        print()
    total(reclaimed)


def total(reclaimed: int) -> None:
    """Print how much space was given back."""
    print(f"Total reclaimed space: {human_size(reclaimed)}")
    sys.stdout.flush()

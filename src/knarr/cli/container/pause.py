"""``knarr pause``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import apply_to_each
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Freeze all processes."""
    return apply_to_each(call, "POST", lambda name: paths.container(name, "pause"))


COMMAND = Command("CONTAINER [CONTAINER...]", execute, arguments=(1, None))

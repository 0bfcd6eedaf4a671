"""``knarr diff``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command, CommandError
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call

_LETTERS = "CAD"


def execute(call: Call) -> int:
    """Show what the container has changed in its files: added, changed, deleted."""
    (container,) = call.arguments
    if not container:
        raise CommandError("Container name cannot be empty")
    changes = call.session.get(paths.container(container, "changes")) or []
    sys.stdout.write("".join(f"{_LETTERS[each['Kind']]} {each['Path']}\n" for each in changes))
    return 0


COMMAND = Command("CONTAINER", execute, arguments=(1, 1))

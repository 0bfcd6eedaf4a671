"""``knarr volume rm``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import apply_to_each
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Remove volumes that no container uses."""
    query = [("force", 1)] if call.flags.on("force") else ()
    return apply_to_each(call, "DELETE", paths.volume, query)


COMMAND = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    execute,
    (("force", "f", "", False, "One that does not exist is no failure"),),
    arguments=(1, None),
)

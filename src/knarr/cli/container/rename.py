"""``knarr rename``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command, CommandError, message
from knarr.client import paths
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Give a container another name."""
    old, new = (argument.strip() for argument in call.arguments)
    if not old or not new:
        raise CommandError("Error: Neither old nor new names may be empty")
    try:
        call.session.call("POST", paths.container(old, "rename"), [("name", new)]).read()
    except KnarrError as error:
        print(message(error), file=sys.stderr)
        raise CommandError(f"Error: failed to rename container named {old}") from error
    return 0


COMMAND = Command("CONTAINER NEW_NAME", execute, arguments=(2, 2))

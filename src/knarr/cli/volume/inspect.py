"""``knarr volume inspect``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.inspection import FORMAT_FLAG, inspect
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Show all that is known of each volume."""
    return inspect(
        call.arguments,
        lambda name: call.session.call("GET", paths.volume(name)).read(),
        call.flags.text("format"),
    )


COMMAND = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    execute,
    (FORMAT_FLAG,),
    arguments=(1, None),
)

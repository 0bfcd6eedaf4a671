"""``knarr container inspect``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.inspection import FORMAT_FLAG, inspect
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Show all that is known of each container."""
    query = [("size", True)] if call.flags.on("size") else ()
    return inspect(
        call.arguments,
        lambda name: call.session.call("GET", paths.container(name, "json"), query).read(),
        call.flags.text("format"),
    )


COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    execute,
    (
        FORMAT_FLAG,
        ("size", "s", "", False, "Also show sizes"),
    ),
    arguments=(1, None),
)

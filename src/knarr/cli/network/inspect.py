"""``knarr network inspect``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.inspection import FORMAT_FLAG, inspect
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Show all that is known of each network."""
    query = [("verbose", True)] if call.flags.on("verbose") else ()
    return inspect(
        call.arguments,
        lambda name: call.session.call("GET", paths.network(name), query).read(),
        call.flags.text("format"),
    )


COMMAND = Command(
    "[OPTIONS] NETWORK [NETWORK...]",
    execute,
    (
        FORMAT_FLAG,
        ("verbose", "v", "", False, "Show more"),
    ),
    arguments=(1, None),
)

"""``knarr export``."""

from __future__ import annotations

from knarr.cli import outfile
from knarr.cli.command import Command
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Write the files of a container to standard output or to a file."""
    place = paths.container(call.arguments[0], "export")
    outfile.receive(
        lambda: call.session.call("GET", place),
        call.flags.text("output"),
        "failed to export container",
    )
    return 0


COMMAND = Command(
    "[OPTIONS] CONTAINER",
    execute,
    (("output", "o", "string", "", "File to write instead of standard output"),),
    arguments=(1, 1),
)

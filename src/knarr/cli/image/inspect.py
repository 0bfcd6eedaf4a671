"""``knarr image inspect``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.inspection import FORMAT_FLAG, inspect
from knarr.cli.platforms import platform_query
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Show all that is known of each image."""
    query = platform_query(call.flags.text("platform"))
    return inspect(
        call.arguments,
        lambda name: call.session.call("GET", paths.image(name, "json"), query).read(),
        call.flags.text("format"),
    )


COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    execute,
    (
        FORMAT_FLAG,
        ("platform", "", "string", "", "Platform of the image (os[/arch[/variant]])"),
    ),
    arguments=(1, None),
)

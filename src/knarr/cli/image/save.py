"""``knarr save``."""

from __future__ import annotations

from knarr.cli import outfile
from knarr.cli.command import Command
from knarr.cli.platforms import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Write images to standard output, or to a file that appears when it is complete."""
    flags = call.flags
    query: list[tuple[str, str | int | bool]] = [("names", name) for name in call.arguments]
    query += platform_query(flags.text("platform"))
    outfile.receive(
        lambda: call.session.call("GET", "/images/get", query),
        flags.text("output"),
        "failed to save image",
    )
    return 0


COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    execute,
    (
        ("output", "o", "string", "", "File to write instead of standard output"),
        ("platform", "", "string", "", "Save only this platform (os[/arch[/variant]])"),
    ),
    arguments=(1, None),
)

"""``knarr volume create``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.container.request import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Make a volume and print its name."""
    flags = call.flags
    body = {
        "Name": call.arguments[0] if call.arguments else "",
        "Driver": flags.text("driver"),
        "DriverOpts": pairs(flags.many("opt")),
        "Labels": pairs(flags.many("label")),
    }
    print(call.session.post("/volumes/create", (), body)["Name"])
    return 0


COMMAND = Command(
    "[OPTIONS] [VOLUME]",
    execute,
    (
        ("driver", "d", "string", "local", "Driver of the volume"),
        ("label", "", "list", "", "Label (key=value)"),
        ("opt", "o", "map", "", "Option of the driver (key=value)"),
    ),
    arguments=(0, 1),
    checks={"label": "knarr.cli.container.checks:label"},
)

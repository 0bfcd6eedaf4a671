"""``knarr kill``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import apply_to_each
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Send a signal, SIGKILL unless told otherwise."""
    signal = call.flags.text("signal")
    query = [("signal", signal)] if signal else ()
    return apply_to_each(call, "POST", lambda name: paths.container(name, "kill"), query)


COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    execute,
    (("signal", "s", "string", "", "Signal to send"),),
    arguments=(1, None),
)

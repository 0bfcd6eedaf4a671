"""``knarr restart``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.container.stop import STOP_FLAGS, stop_query
from knarr.cli.many import apply_to_each
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Stop containers and start them again."""
    return apply_to_each(
        call, "POST", lambda name: paths.container(name, "restart"), stop_query(call)
    )


COMMAND = Command("[OPTIONS] CONTAINER [CONTAINER...]", execute, STOP_FLAGS, arguments=(1, None))

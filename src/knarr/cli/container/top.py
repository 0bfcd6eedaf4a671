"""``knarr top``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.table import layout
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call

_COLUMN = 20


def execute(call: Call) -> int:
    """Show the processes; further arguments are options of ps(1)."""
    name, *options = call.arguments
    query = [("ps_args", " ".join(options))] if options else ()
    found = call.session.get(paths.container(name, "top"), query)
    rows = [found["Titles"], *(found["Processes"] or ())]
    sys.stdout.write(layout(rows, least=_COLUMN))
    return 0


COMMAND = Command("CONTAINER [ps OPTIONS]", execute, arguments=(1, None), interspersed=False)

"""``knarr stop``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import apply_to_each
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.cli.flags import FlagRow
    from knarr.client.session import Query

STOP_FLAGS: tuple[FlagRow, ...] = (
    ("signal", "s", "string", "", "Signal instead of the container's stop signal"),
    ("time", "", "int", 0, ""),
    ("timeout", "t", "int", 0, "Seconds before it is killed"),
)


def execute(call: Call) -> int:
    """Stop containers."""
    return apply_to_each(call, "POST", lambda name: paths.container(name, "stop"), stop_query(call))


def stop_query(call: Call) -> Query:
    """The parameters of a stop or a restart."""
    query: list[tuple[str, str | int | bool]] = []
    for flag in ("timeout", "time"):
        if call.flags.given(flag):
            query.append(("t", call.flags.number(flag)))
            break
    if signal := call.flags.text("signal"):
        query.append(("signal", signal))
    return query


COMMAND = Command("[OPTIONS] CONTAINER [CONTAINER...]", execute, STOP_FLAGS, arguments=(1, None))

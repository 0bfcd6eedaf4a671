"""``knarr logs``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.client import duplex, jsontext, paths
from knarr.client.session import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.client.session import Query

_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_RAW = "application/vnd.docker.raw-stream"


def execute(call: Call) -> int:
    """Show what a container wrote, each stream on its own."""
    name = call.arguments[0]
    response = call.session.call("GET", paths.container(name, "logs"), _query(call))
    kind = response.head.headers.get("content-type", "")
    tty = kind == _RAW
    if kind not in (_RAW, _MULTIPLEXED):  # an engine older than API 1.42
        other = call.session.connect()
        call.session.send("GET", paths.container(name, "json"), connection=other)
        tty = jsontext.loads(receive(other).read())["Config"]["Tty"]
    sys.stdout.flush()
    duplex.copy(response.chunks(), duplex.raw(1) if tty else duplex.demultiplexed(1, 2))
    return 0


def _query(call: Call) -> Query:
    flags = call.flags
    query: list[tuple[str, str | int | bool]] = [("stdout", 1), ("stderr", 1)]
    for flag, key in (("follow", "follow"), ("timestamps", "timestamps"), ("details", "details")):
        if flags.on(flag):
            query.append((key, 1))
    for flag in ("since", "until"):
        if text := flags.text(flag):
            from knarr.cli.timestamps import query_value

            query.append((flag, query_value(text, flag)))
    query.append(("tail", flags.text("tail")))
    return query


COMMAND = Command(
    "[OPTIONS] CONTAINER",
    execute,
    (
        ("details", "", "", False, "Show what the log driver adds"),
        ("follow", "f", "", False, "Go on with what is written"),
        ("since", "", "string", "", "Begin at a moment, or a duration ago (42m)"),
        ("tail", "n", "string", "all", "Show only the last lines"),
        ("timestamps", "t", "", False, "Show when each line was written"),
        ("until", "", "string", "", "End at a moment, or a duration ago (42m)"),
    ),
    arguments=(1, 1),
)

"""``knarr inspect``: objects of any kind by name."""

from __future__ import annotations

import sys

from knarr.cli.command import Command, CommandError
from knarr.cli.inspection import FORMAT_FLAG, inspect
from knarr.client import paths
from knarr.client.http import quote
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.cli.command import Call

KINDS: dict[str, Callable[[str], str]] = {
    "container": lambda name: paths.container(name, "json"),
    "image": lambda name: paths.image(name, "json"),
    "network": paths.network,
    "volume": paths.volume,
}
"""The kinds in the order in which a name is looked for."""

_SWARM = ("config", "node", "plugin", "secret", "service", "task")
"""Kinds of docker that the engine does not have, and says so."""

_NOT_FOUND = 404


def execute(call: Call) -> int:
    """Show each object, of the kind given or the first that has the name."""
    kind = call.flags.text("type")
    if call.flags.given("type") and kind not in (*KINDS, *_SWARM):
        known = ", ".join(f'"{name}"' for name in sorted((*KINDS, *_SWARM)))
        raise CommandError(f'unknown type: "{kind}": must be one of {known}')

    def fetch(name: str) -> bytes:
        if kind:
            return fetch_one(call, kind, name)
        for each in KINDS:
            try:
                return fetch_one(call, each, name)
            except KnarrError as error:
                if getattr(error, "status", 0) != _NOT_FOUND:
                    raise
        raise CommandError(f"Error: No such object: {name}")

    return inspect(call.arguments, fetch, call.flags.text("format"))


def fetch_one(call: Call, kind: str, name: str) -> bytes:
    """The JSON text of one object.

    Errors: ``EngineError``.
    """
    sized = call.flags.on("size")
    if sized and call.flags.text("type") not in ("", "container"):
        print(f"WARNING: --size ignored for {kind}", file=sys.stderr)
    query = [("size", True)] if sized and kind == "container" else ()
    path = KINDS[kind](name) if kind in KINDS else f"/{kind}s/{quote(name)}"
    return call.session.call("GET", path, query).read()


COMMAND = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    execute,
    (
        FORMAT_FLAG,
        ("size", "s", "", False, "Also show the sizes of containers"),
        ("type", "", "string", "", "Kind of the objects"),
    ),
    arguments=(1, None),
)

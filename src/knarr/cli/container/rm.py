"""``knarr rm``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.cli.many import Failures, request_each
from knarr.client import paths
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call

_NOT_FOUND = 404


def execute(call: Call) -> int:
    """Remove containers. With ``--force`` one that does not exist is reported, but no failure."""
    flags = call.flags
    names = [name.strip("/") for name in call.arguments]
    if not all(names):
        raise CommandError("Container name cannot be empty")
    switches = (("v", "volumes"), ("link", "link"), ("force", "force"))
    query = [(key, True) for key, flag in switches if flags.on(flag)]
    failures, forgiven = Failures(), Failures()
    for name, answer in request_each(call, "DELETE", names, paths.container, query):
        if not isinstance(answer, KnarrError):
            answer.read()
            print(name)
        elif flags.on("force") and getattr(answer, "status", 0) == _NOT_FOUND:
            forgiven.add(name, answer)
        else:
            failures.add(name, answer)
    return failures.code


COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    execute,
    (
        ("force", "f", "", False, "Kill it first if it runs"),
        ("link", "l", "", False, "Remove a link, not the container"),
        ("volumes", "v", "", False, "Also remove its anonymous volumes"),
    ),
    arguments=(1, None),
)

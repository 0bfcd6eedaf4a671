"""``knarr wait``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import Failures, request_each
from knarr.client import jsontext, paths
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Wait until each has stopped, in the order given, and print its exit code."""
    failures = Failures()
    for name, answer in request_each(
        call, "POST", call.arguments, lambda name: paths.container(name, "wait")
    ):
        if isinstance(answer, KnarrError):
            failures.add(name, answer)
            continue
        print(jsontext.loads(answer.read())["StatusCode"], flush=True)
    return failures.code


COMMAND = Command("CONTAINER [CONTAINER...]", execute, arguments=(1, None))

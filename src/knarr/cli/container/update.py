"""``knarr update``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError, message
from knarr.cli.container.options import LIMIT_FLAGS
from knarr.cli.container.request import NUMBERS, TEXTS, restart_policy
from knarr.client import paths
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call
    from knarr.cli.flags import FlagRow

FLAGS: tuple[FlagRow, ...] = (
    *LIMIT_FLAGS,
    ("health-on-failure", "", "string", "", "What is done when unhealthy (none, kill, stop, ...)"),
    ("restart", "", "string", "", "When to start again (no, on-failure[:n], always, ...)"),
)
_NAMES = frozenset(row[0] for row in FLAGS)


def execute(call: Call) -> int:
    """Change each container and print its name; then the warnings."""
    flags = call.flags
    if not any(flags.given(row[0]) for row in FLAGS):
        raise CommandError("you must provide one or more flags when using this command")
    body: dict[str, Any] = {
        key: value
        for fields, read in ((NUMBERS, flags.number), (TEXTS, flags.text))
        for name, key in fields.items()
        if name in _NAMES and (value := read(name))
    }
    if flags.text("restart"):
        body["RestartPolicy"] = restart_policy(flags.text("restart"))
    if flags.text("health-on-failure"):
        body["Annotations"] = {"io.knarr.health-on-failure": flags.text("health-on-failure")}
    warnings: list[str] = []
    problems = []
    for name in call.arguments:
        try:
            answer = call.session.post(paths.container(name, "update"), (), body)
        except KnarrError as error:
            problems.append(message(error))
            continue
        print(name)
        warnings += answer["Warnings"] or ()
    if warnings:
        print("\n".join(warnings))
    if problems:
        raise CommandError("\n".join(problems))
    return 0


COMMAND = Command("[OPTIONS] CONTAINER [CONTAINER...]", execute, FLAGS, arguments=(1, None))

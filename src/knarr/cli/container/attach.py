"""``knarr attach``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.client import paths
from knarr.client.session import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

_UNFIT = (
    ("Paused", "You cannot attach to a paused container, unpause it first"),
    ("Restarting", "You cannot attach to a restarting container, wait until it is running"),
)


def execute(call: Call) -> int:
    """Be a running container's terminal until it ends; its exit code."""
    from knarr.cli.container.attachment import (
        Attachment,
        check_terminal,
        follow_size,
        left,
        proxy_signals,
        redraw,
        stream_query,
    )
    from knarr.cli.container.run import exit_status

    flags, session = call.flags, call.session
    known = session.get(paths.container(call.arguments[0], "json"))
    _check(known)
    identifier, config = known["Id"], known["Config"]
    tty = bool(config["Tty"])
    stdin = not flags.on("no-stdin") and bool(config["OpenStdin"])
    check_terminal(stdin=not flags.on("no-stdin"), tty=tty)
    path = f"/containers/{identifier}"
    waiting, stream = session.connect(), session.connect()
    session.send("POST", f"{path}/wait", connection=waiting)
    if flags.on("sig-proxy") and not tty:
        proxy_signals(session, identifier)
    keys = flags.text("detach-keys")
    query = stream_query(keys, stdin=stdin, stdout=True, stderr=True)
    session.send("POST", f"{path}/attach", query, upgrade=True, connection=stream)
    outcome = receive(waiting)
    receive(stream)
    if tty:
        redraw(session, f"{path}/resize")
        follow_size(session, f"{path}/resize")
    attachment = Attachment(stream, tty=tty, keys=keys)
    attachment.stdin = stdin
    if not attachment.converse():
        raise left()
    return exit_status(outcome)


def _check(known: dict[str, Any]) -> None:
    state = known["State"]
    if not state.get("Running"):
        raise CommandError("You cannot attach to a stopped container, start it first")
    for key, text in _UNFIT:
        if state.get(key):
            raise CommandError(text)


COMMAND = Command(
    "[OPTIONS] CONTAINER",
    execute,
    (
        ("detach-keys", "", "string", "", "Keys that detach from it"),
        ("no-stdin", "", "", False, "Do not connect standard input"),
        ("sig-proxy", "", "", True, "Pass signals on to the program"),
    ),
    arguments=(1, 1),
)

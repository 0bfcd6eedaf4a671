"""``knarr start``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command, CommandError
from knarr.cli.many import Failures, request_each
from knarr.client import paths
from knarr.client.session import receive
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Start containers; with ``--attach`` or ``--interactive`` one, and be its terminal."""
    flags = call.flags
    if flags.on("attach") or flags.on("interactive"):
        if len(call.arguments) > 1:
            raise CommandError("you cannot start and attach multiple containers at once")
        return _attached(call, call.arguments[0])
    failures = Failures()
    for name, answer in request_each(
        call, "POST", call.arguments, lambda name: paths.container(name, "start")
    ):
        if isinstance(answer, KnarrError):
            failures.add(name, answer)
            continue
        answer.read()
        print(name)
    if failures.names:
        sys.stdout.flush()
        print(f"Error: failed to start containers: {', '.join(failures.names)}", file=sys.stderr)
    return failures.code


def _attached(call: Call, name: str) -> int:
    from knarr.cli.container.attachment import Attachment, follow_size, proxy_signals, stream_query
    from knarr.cli.container.run import exit_status

    flags, session = call.flags, call.session
    known = session.get(paths.container(name, "json"))
    identifier, config = known["Id"], known["Config"]
    tty = bool(config["Tty"])
    stdin = flags.on("interactive") and bool(config["OpenStdin"])
    path = f"/containers/{identifier}"
    if not tty:
        proxy_signals(session, identifier)
    keys = flags.text("detach-keys")
    stream, waiting = session.connect(), session.connect()
    query = stream_query(keys, stdin=stdin, stdout=True, stderr=True)
    session.send("POST", f"{path}/attach", query, upgrade=True, connection=stream)
    receive(stream)
    removed = bool(known["HostConfig"].get("AutoRemove"))
    condition = "removed" if removed else "next-exit"
    running = bool(known["State"].get("Running"))
    condition = "" if running and not removed else condition
    session.send(
        "POST", f"{path}/wait", [("condition", condition)] if condition else (), connection=waiting
    )
    outcome = receive(waiting)
    session.call("POST", f"{path}/start").read()
    if tty:
        follow_size(session, f"{path}/resize")
    attachment = Attachment(stream, tty=tty, keys=keys)
    attachment.stdin = stdin
    return exit_status(outcome) if attachment.converse() else 0


COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    execute,
    (
        ("attach", "a", "", False, "Show its output and pass signals on"),
        ("detach-keys", "", "string", "", "Keys that detach from it"),
        ("interactive", "i", "", False, "Connect standard input"),
    ),
    arguments=(1, None),
)

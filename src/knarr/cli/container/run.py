"""``knarr run``: create, attach, wait, start; no output and no exit code is lost.

Attach and wait are under way before the start: so a program that ends at once is still seen.
"""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.cli.container import create
from knarr.cli.container.options import CONTAINER_CHECKS, CONTAINER_FLAGS
from knarr.client import jsontext
from knarr.client.session import receive
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call
    from knarr.client.connection import Response

    Json = dict[str, Any]

_DETACHED = {"AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "StdinOnce": False}


def execute(call: Call) -> int:
    """Run it; the program's exit code, 0 when detached, 125 to 127 when it could not be started."""
    body = _body(call)
    if call.flags.on("explain"):
        return _explain(call, body)
    try:
        identifier = create.create(call, body)
    except (CommandError, KnarrError, OSError) as error:
        raise create.failed_run(error, call.words) from error
    if call.flags.on("detach"):
        _start(call, identifier)
        print(identifier)
        return 0
    return _attached(call, identifier, body)


def _body(call: Call) -> Json:
    flags = call.flags
    body = create.request_body(call)
    if flags.on("detach"):
        if flags.given("attach"):
            raise CommandError("conflicting options: cannot specify both --attach and --detach")
        body.update(_DETACHED)
    else:
        if body["AttachStdin"] and body["Tty"]:
            from knarr.cli.container.attachment import check_terminal

            check_terminal(stdin=True, tty=True)
        create.add_console_size(flags, body)
    return body


def _start(call: Call, identifier: str) -> None:
    try:
        call.session.call("POST", f"/containers/{identifier}/start").read()
    except KnarrError as error:
        raise create.failed_run(error, call.words) from error


def _attached(call: Call, identifier: str, body: Json) -> int:
    from knarr.cli.container.attachment import (
        Attachment,
        follow_size,
        proxy_signals,
        stream_query,
    )

    flags, session = call.flags, call.session
    if flags.on("sig-proxy"):
        proxy_signals(session, identifier)
    keys = flags.text("detach-keys")
    query = stream_query(
        keys, stdin=body["AttachStdin"], stdout=body["AttachStdout"], stderr=body["AttachStderr"]
    )
    path = f"/containers/{identifier}"
    stream = session.connect()
    session.send("POST", f"{path}/attach", query, upgrade=True, connection=stream)
    waiting = session.connect()
    condition = "removed" if flags.on("rm") else "next-exit"
    session.send("POST", f"{path}/wait", [("condition", condition)], connection=waiting)
    receive(stream)
    outcome = receive(waiting)
    try:
        _start(call, identifier)
    except CommandError:
        stream.close()
        if flags.on("rm"):
            outcome.read()
        raise
    if body["Tty"]:
        follow_size(session, f"{path}/resize")
    attachment = Attachment(stream, tty=body["Tty"], keys=keys)
    attachment.stdin = body["AttachStdin"]
    attachment.stdout, attachment.stderr = body["AttachStdout"], body["AttachStderr"]
    prints = body["AttachStdout"] or body["AttachStderr"]
    if not prints:
        print(identifier)
    if not attachment.converse() or not prints:
        return 0
    return exit_status(outcome)


def exit_status(outcome: Response) -> int:
    """The exit code in the answer to a wait request.

    Errors: ``CommandError`` (125) if waiting failed.
    """
    result = jsontext.loads(outcome.read())
    if error := result.get("Error"):
        raise CommandError(f"error waiting for container: {error.get('Message', '')}", 125)
    return int(result["StatusCode"])


def _explain(call: Call, body: Json) -> int:
    """Print what would be done to make the container; nothing is started."""
    try:
        answer = call.session.post("/knarr/explain", (), body)
    except KnarrError as error:
        raise create.failed_run(error, call.words) from error
    if call.flags.on("json"):
        print(jsontext.dumps(answer, ascii_only=False))
        return 0
    for line in answer["Plan"]:
        print(line)
    return 0


COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    execute,
    (
        *CONTAINER_FLAGS,
        ("detach", "d", "", False, "Do not wait for it; print its id"),
        ("detach-keys", "", "string", "", "Keys that detach from it"),
        ("explain", "", "", False, "Print the plan that would make it; start nothing"),
        ("json", "", "", False, "Print the plan of --explain as JSON"),
        ("sig-proxy", "", "", True, "Pass signals on to the program"),
    ),
    arguments=(1, None),
    interspersed=False,
    checks=CONTAINER_CHECKS,
)

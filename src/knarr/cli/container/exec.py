"""``knarr exec``."""

from __future__ import annotations

import posix

from knarr.cli.command import Command
from knarr.client import paths
from knarr.client.session import receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]


def execute(call: Call) -> int:
    """Run a further program in a container; its exit code, 0 when detached."""
    flags, session = call.flags, call.session
    name, *command = call.arguments
    body = _body(call, command)
    if not flags.on("detach"):
        from knarr.cli.container.attachment import check_terminal

        check_terminal(stdin=body["AttachStdin"], tty=body["Tty"])
    identifier = session.post(paths.container(name, "exec"), (), body)["Id"]
    if flags.on("detach"):
        options = {"Detach": True, "Tty": body["Tty"]}
        session.call("POST", f"/exec/{identifier}/start", (), options).read()
        return 0
    return _attached(call, identifier, body)


def _body(call: Call, command: list[str]) -> Json:
    flags = call.flags
    detached = flags.on("detach")
    body: Json = {
        "Cmd": command,
        "Tty": flags.on("tty"),
        "AttachStdin": flags.on("interactive") and not detached,
        "AttachStdout": not detached,
        "AttachStderr": not detached,
        "Privileged": flags.on("privileged"),
    }
    for flag, key in (("user", "User"), ("workdir", "WorkingDir"), ("detach-keys", "DetachKeys")):
        if flags.given(flag):
            body[key] = flags.text(flag)
    environment = _environment(call)
    if environment:
        body["Env"] = environment
    size = _console_size(body)
    if size:
        body["ConsoleSize"] = size
    return body


def _environment(call: Call) -> list[str]:
    entries: list[str] = []
    if paths := call.flags.many("env-file"):
        from knarr.cli.container.envfile import read
        from knarr.client.address import variable

        entries = read(paths, variable)
    return entries + call.flags.many("env")


def _console_size(body: Json) -> list[int] | None:
    if not body["Tty"] or not posix.isatty(1):
        return None
    size = posix.get_terminal_size(1)
    return [size.lines, size.columns]


def _attached(call: Call, identifier: str, body: Json) -> int:
    from knarr.cli.container.attachment import Attachment, follow_size, left

    session = call.session
    path = f"/exec/{identifier}"
    options: Json = {"Detach": False, "Tty": body["Tty"]}
    if "ConsoleSize" in body:
        options["ConsoleSize"] = body["ConsoleSize"]
    stream = session.connect()
    session.send("POST", f"{path}/start", (), options, upgrade=True, connection=stream)
    receive(stream)
    if body["Tty"]:
        follow_size(session, f"{path}/resize")
    keys = call.flags.text("detach-keys")
    attachment = Attachment(stream, tty=body["Tty"], keys=keys)
    attachment.stdin = body["AttachStdin"]
    if not attachment.converse():
        raise left()
    return int(session.get(f"{path}/json")["ExitCode"] or 0)


COMMAND = Command(
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    execute,
    (
        ("detach", "d", "", False, "Do not wait for it"),
        ("detach-keys", "", "string", "", "Keys that detach from it"),
        ("env", "e", "list", "", "Environment variable (name=value, or name from here)"),
        ("env-file", "", "list", "", "File of environment variables"),
        ("interactive", "i", "", False, "Connect standard input"),
        ("privileged", "", "", False, "Give nearly all rights of the host"),
        ("tty", "t", "", False, "Give it a terminal"),
        ("user", "u", "string", "", "User and group (<name|uid>[:<group|gid>])"),
        ("workdir", "w", "string", "", "Working directory"),
    ),
    arguments=(2, None),
    interspersed=False,
    checks={"env": "knarr.cli.container.checks:variable"},
)

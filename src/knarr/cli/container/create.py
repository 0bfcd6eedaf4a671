"""``knarr create``, and how ``run`` makes its container."""

from __future__ import annotations

import posix
import sys

from knarr.cli.command import PROGRAM, Command, CommandError, message
from knarr.cli.container import request
from knarr.cli.container.options import CONTAINER_CHECKS, CONTAINER_FLAGS, WINDOWS_FLAGS
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call
    from knarr.cli.flags import Flags

_PULL_POLICIES = ("always", "missing", "never")


def execute(call: Call) -> int:
    """Make the container and print its id."""
    body = request_body(call)
    add_console_size(call.flags, body)
    print(create(call, body))
    return 0


def request_body(call: Call) -> dict[str, Any]:
    """What the flags and arguments ask for.

    Errors: ``CommandError`` with the exit code 125.
    """
    image, *command = call.arguments
    if call.flags.on("use-api-socket"):
        raise with_hint(CommandError("--use-api-socket is not supported"), call.words, 125)
    for flag in WINDOWS_FLAGS:
        if call.flags.given(flag):
            raise CommandError(
                f'"--{flag}" is only supported on a Docker daemon running on windows, but the '
                "Docker daemon is running on linux"
            )
    try:
        check_pull(call.flags)
        return request.build(call.flags, image, command)
    except (CommandError, OSError) as error:
        raise with_hint(error, call.words, 125) from error


def with_hint(error: Exception, words: str, code: int) -> CommandError:
    """An error with the program's name and a hint."""
    return CommandError(
        f"{PROGRAM}: {message(error)}\n\nRun '{PROGRAM} {words} --help' for more information", code
    )


def failed_run(error: Exception, words: str) -> CommandError:
    """Why ``run`` has no container that runs; the exit code says what kind of reason.

    127: no such program, 126: it may not be executed, 125: all others. The engine's words are all
    that tells these cases apart (as in docker's own command line).
    """
    return with_hint(error, words, _exit_code(message(error)))


def _exit_code(text: str) -> int:
    for phrase in ("executable file not found", "no such file or directory"):
        if phrase in text:
            return 127
    for phrase in ("permission denied", "is a directory"):
        if phrase in text:
            return 126
    return 125


def check_pull(flags: Flags) -> None:
    """Refuse an unknown ``--pull``."""
    policy = flags.text("pull")
    if policy not in _PULL_POLICIES and policy:
        raise CommandError(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"'
        )


def add_console_size(flags: Flags, body: dict[str, Any]) -> None:
    """Say how large the terminal is that the container will have."""
    if flags.on("tty") and posix.isatty(1):
        size = posix.get_terminal_size(1)
        body["HostConfig"]["ConsoleSize"] = [size.lines, size.columns]


def create(call: Call, body: dict[str, Any]) -> str:
    """Make the container, after a pull if its image is missing and may be pulled; its id.

    Errors: ``EngineError``; ``CommandError`` if the file of ``--cidfile`` is in the way.
    """
    if platform := call.flags.text("platform"):
        from knarr.cli.platforms import parse

        parse(platform)
    path = call.flags.text("cidfile")
    if path and _exists(path):
        raise CommandError(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        )
    made = _create(call, body)
    if path:
        with open(path, "x", encoding="ascii") as file:
            file.write(made["Id"])
    for warning in made.get("Warnings") or ():
        print(f"WARNING: {warning}", file=sys.stderr)
    return str(made["Id"])


def _exists(path: str) -> bool:
    try:
        posix.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _create(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    flags = call.flags
    query = [(key, flags.text(key)) for key in ("name", "platform") if flags.text(key)]
    policy = flags.text("pull")
    if policy == "always":
        _pull(call, body["Image"])
    try:
        made: dict[str, Any] = call.session.post("/containers/create", query, body)
    except KnarrError as error:
        if policy not in ("missing", "") or getattr(error, "status", 0) != 404:
            raise
        print(f"Unable to find image '{_with_tag(body['Image'])}' locally", file=sys.stderr)
        _pull(call, body["Image"])
        made = call.session.post("/containers/create", query, body)
    return made


def _with_tag(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"


def _pull(call: Call, image: str) -> None:
    from knarr.cli.image import pull
    from knarr.oci import reference

    name = reference.parse_normalized(image).with_default_tag()
    platform = call.flags.text("platform")
    pull.fetch(call, name, platform, sys.stderr, quiet=call.flags.on("quiet"))


COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    execute,
    CONTAINER_FLAGS,
    arguments=(1, None),
    interspersed=False,
    checks=CONTAINER_CHECKS,
)

"""``knarr save``."""

from __future__ import annotations

import os
import sys

from knarr.cli.command import Command, CommandError
from knarr.cli.platforms import platform_query
from knarr.client.duplex import write_all
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.client.connection import Response


def execute(call: Call) -> int:
    """Write images to standard output, or to a file that appears when it is complete."""
    flags = call.flags
    output = flags.text("output")
    if not output and os.isatty(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if output:
        _check(output)
    query: list[tuple[str, str | int | bool]] = [("names", name) for name in call.arguments]
    query += platform_query(flags.text("platform"))
    response = call.session.call("GET", "/images/get", query)
    if output:
        _to_file(response, output)
    else:
        sys.stdout.flush()
        for chunk in response.chunks():
            write_all(1, chunk)
    return 0


def _check(output: str) -> None:
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise CommandError(
            f'failed to save image: invalid output path: directory "{folder}" does not exist'
        )
    if os.path.isdir(output):
        raise CommandError(
            f'failed to save image: invalid output path: "{output}" must be a regular file'
        )


def _to_file(response: Response, output: str) -> None:
    """Write beside the file, then rename: a failure leaves nothing that looks complete."""
    if os.path.exists(output) and not os.path.isfile(output):  # a device, a pipe
        with open(output, "wb", buffering=0) as device:
            for chunk in response.chunks():
                write_all(device.fileno(), chunk)
        return
    folder, name = os.path.split(output)
    staged = os.path.join(folder, f".{name}.{os.getpid()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(staged, flags, 0o600)
    try:
        for chunk in response.chunks():
            write_all(descriptor, chunk)
        os.rename(staged, output)
    except (OSError, KnarrError, KeyboardInterrupt):
        os.unlink(staged)
        raise
    finally:
        os.close(descriptor)


COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    execute,
    (
        ("output", "o", "string", "", "File to write instead of standard output"),
        ("platform", "", "string", "", "Save only this platform (os[/arch[/variant]])"),
    ),
    arguments=(1, None),
)

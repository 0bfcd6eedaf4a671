"""Where an archive that the engine sends goes: standard output, or a file."""

from __future__ import annotations

import os
import sys

from knarr.cli.command import CommandError
from knarr.client.duplex import write_all
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.client.connection import Response


def receive(ask: Callable[[], Response], output: str, attempt: str) -> None:
    """Write what the engine answers to the file ``output``, or to standard output if it is "".

    The place is looked at first; what is wrong with it is told beginning with ``attempt``.
    """
    if not output and os.isatty(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if output:
        _check(output, attempt)
        _to_file(ask(), output)
        return
    response = ask()
    sys.stdout.flush()
    for chunk in response.chunks():
        write_all(1, chunk)


def _check(output: str, attempt: str) -> None:
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        problem = f"invalid output path: stat {folder}: no such file or directory"
        raise CommandError(f"{attempt}: {problem}")
    if os.path.isdir(output):
        raise CommandError(f"{attempt}: cannot write to a directory")


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

"""``knarr load``."""

from __future__ import annotations

import os
import stat
import sys

from knarr.cli import progress
from knarr.cli.command import Command, CommandError
from knarr.cli.platforms import platform_query
from knarr.client import jsontext
from knarr.client.upload import FileUpload, StreamUpload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.client.session import Query
    from knarr.client.upload import Upload


def execute(call: Call) -> int:
    """Load the images of an archive, from a file or standard input."""
    flags = call.flags
    path = flags.text("input")
    if not path and os.isatty(0):
        raise CommandError("requested load from stdin, but stdin is empty")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else 0
    quiet = flags.on("quiet") or not sys.stdout.isatty()
    query: list[tuple[str, str | int | bool]] = [("quiet", quiet)]
    query += platform_query(flags.text("platform"))
    send(call, "/images/load", query, descriptor, path or "-")
    return 0


def send(call: Call, path: str, query: Query, descriptor: int, name: str) -> None:
    """Send an archive and show what the engine says about it.

    Errors: ``EngineError``; ``CommandError`` if the engine reports one in its stream.
    """
    shown = progress.Upload(f"Sending {name}", _size(descriptor), sys.stderr)
    response = call.session.upload(path, query, _upload(descriptor, shown))
    shown.finish()
    if "json" in response.head.headers.get("content-type", "application/json"):
        progress.show(jsontext.documents(response.chunks()), sys.stdout)
    else:
        sys.stdout.write(response.read().decode("utf-8", "surrogateescape"))


def _size(descriptor: int) -> int:
    status = os.fstat(descriptor)
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _upload(descriptor: int, shown: progress.Upload) -> Upload:
    """A file from its begin is sent by the kernel; all else, and a file half read, in chunks."""
    size = _size(descriptor)
    if size and os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
        return FileUpload(descriptor, size, shown)
    return StreamUpload(descriptor, shown)


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("input", "i", "string", "", "File to read instead of standard input"),
        ("platform", "", "string", "", "Load only this platform (os[/arch[/variant]])"),
        ("quiet", "q", "", False, "Do not show the progress"),
    ),
)

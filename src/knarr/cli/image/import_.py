"""``knarr import``."""

from __future__ import annotations

import os
import sys

from knarr.cli.command import Command
from knarr.cli.image.load import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Make an image from a root filesystem: a file, standard input (``-``), or a URL."""
    flags = call.flags
    source, *name = call.arguments
    is_remote = source.startswith(("http://", "https://"))
    query: list[tuple[str, str | int | bool]] = [("fromSrc", source if is_remote else "-")]
    if name:
        query.append(("repo", name[0]))
    if text := flags.text("message"):
        query.append(("message", text))
    if text := flags.text("platform"):
        query.append(("platform", text.lower()))
    query += [("changes", change) for change in flags.many("change")]
    if is_remote:
        from knarr.cli import progress

        progress.show(call.session.stream("POST", "/images/create", query), sys.stdout)
        return 0
    descriptor = 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    send(call, "/images/create", query, descriptor, source)
    return 0


COMMAND = Command(
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    execute,
    (
        ("change", "c", "list", "", "Dockerfile instruction to apply to the image"),
        ("message", "m", "string", "", "Comment of the image"),
        ("platform", "", "string", "", "Platform of the image (os[/arch[/variant]])"),
    ),
    arguments=(1, None),
)

"""``knarr pull``, and the pull of ``run`` and ``create``."""

from __future__ import annotations

import sys

from knarr.cli import progress
from knarr.cli.command import Command, CommandError
from knarr.client import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from knarr.cli.command import Call
    from knarr.oci.reference import Reference


def execute(call: Call) -> int:
    """Fetch an image from the registry that its name says."""
    from knarr.oci import reference

    flags = call.flags
    name = reference.parse_normalized(call.arguments[0])
    every, quiet = flags.on("all-tags"), flags.on("quiet")
    if every and not name.is_name_only:
        raise CommandError("tag can't be used with --all-tags/-a")
    if not every and name.is_name_only:
        name = name.with_default_tag()
        if not quiet:
            print(f"Using default tag: {name.tag}", flush=True)
    fetch(call, name, flags.text("platform"), sys.stdout, quiet=quiet)
    print(name.canonical())
    return 0


def fetch(call: Call, name: Reference, platform: str, out: TextIO, *, quiet: bool) -> None:
    """Let the engine pull and show how far it is; a name alone means all its tags.

    Errors: ``EngineError``; ``CommandError`` if the engine reports one in its stream.
    """
    from knarr.cli.image.push import warn
    from knarr.client.credentials import keychain

    query = [("fromImage", name.familiar_name), ("tag", name.digest or name.tag or "")]
    if platform:
        query.append(("platform", platform))
    headers = keychain.headers(name.canonical(), warn)
    response = call.session.call("POST", "/images/create", query, headers=headers)
    progress.show(jsontext.documents(response.chunks()), out, quiet=quiet)


COMMAND = Command(
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    execute,
    (
        ("all-tags", "a", "", False, "Pull all tags of the repository"),
        ("disable-content-trust", "", "", True, ""),
        ("platform", "", "string", "", "Pull this platform of an image for several"),
        ("quiet", "q", "", False, "Print only the name"),
    ),
    arguments=(1, 1),
)

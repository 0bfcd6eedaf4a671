"""``knarr push``."""

from __future__ import annotations

import sys

from knarr.cli import progress
from knarr.cli.command import Command, CommandError
from knarr.cli.platforms import platform_query
from knarr.client import jsontext, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]


def execute(call: Call) -> int:
    """Push a tag of an image, or all of them, to the registry that its name says."""
    from knarr.client.credentials import keychain
    from knarr.oci import reference

    flags = call.flags
    name = reference.parse_normalized(call.arguments[0])
    every, quiet = flags.on("all-tags"), flags.on("quiet")
    if name.digest is not None:
        raise CommandError("cannot push a digest reference")
    if every and name.tag is not None:
        raise CommandError("tag can't be used with --all-tags/-a")
    if not every and name.tag is None:
        name = name.with_default_tag()
        if not quiet:
            print(f"Using default tag: {name.tag}", flush=True)
    query: list[tuple[str, str | int | bool]] = [] if every else [("tag", name.tag or "")]
    query += platform_query(flags.text("platform"))
    headers = keychain.headers(name.canonical(), warn)
    path = paths.image(name.name, "push")
    response = call.session.call("POST", path, query, headers=headers)
    notes: list[str] = []
    documents = _noted(jsontext.documents(response.chunks()), notes)
    progress.show(documents, sys.stdout, quiet=quiet)
    if quiet:
        print(name.canonical())
    for note in notes:
        warn(note)
    return 0


def _noted(documents: Iterable[Json], notes: list[str]) -> Iterator[Json]:
    """The same documents; what a person should know of them is put into ``notes``."""
    for document in documents:
        aux = document.get("aux") or {}
        if aux.get("manifestPushedInsteadOfIndex"):
            index, manifest = (
                (aux.get(key) or {}).get("digest", "")
                for key in ("originalIndex", "selectedManifest")
            )
            notes.append(
                "NOTE: not all of the image for several platforms is here, "
                f"so only this one was pushed:\n{index} -> {manifest}"
            )
        yield document


def warn(text: str) -> None:
    """Tell what does not stop the command."""
    print(text, file=sys.stderr)


COMMAND = Command(
    "[OPTIONS] NAME[:TAG]",
    execute,
    (
        ("all-tags", "a", "", False, "Push all tags of the repository"),
        ("disable-content-trust", "", "", True, ""),
        ("platform", "", "string", "", "Push only this platform of an image for several"),
        ("quiet", "q", "", False, "Print only the name"),
    ),
    arguments=(1, 1),
)

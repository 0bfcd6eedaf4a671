"""``knarr images``."""

from __future__ import annotations

import sys
import time

from knarr.cli.command import Command
from knarr.cli.output import View, filters
from knarr.cli.quantities import human_duration, human_size, human_size3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

NONE = "<none>"
_SHORT_ID = 12


def execute(call: Call) -> int:
    """List images, one row for each name."""
    flags = call.flags
    entries = flags.many("filter")
    if call.arguments:
        entries.append(f"reference={call.arguments[0]}")
    query: list[tuple[str, str | int | bool]] = [("all", 1)] if flags.on("all") else []
    query += filters(entries)
    found = call.session.get("/images/json", query)
    form = flags.text("format")
    digests = flags.on("digests") or ".Digest" in form
    rows = [row for image in found for row in named(image, digests=digests)]
    view = view_of(whole=flags.on("no-trunc"), digests=flags.on("digests"))
    quiet = "ID" if flags.on("quiet") else ""
    sys.stdout.write(view.show(rows, form, quiet=quiet))
    return 0


def view_of(*, whole: bool, digests: bool) -> View:
    """The columns of images."""
    columns = {
        "Containers": lambda each: _count(each, "Containers"),
        "CreatedAt": _created_at,
        "CreatedSince": created_since,
        "Digest": lambda each: each["Digest"],
        "ID": lambda each: each["Id"] if whole else short_id(each["Id"]),
        "Repository": lambda each: each["Repository"],
        "SharedSize": lambda each: _size(each, "SharedSize"),
        "Size": lambda each: human_size3(each.get("Size") or 0),
        "Tag": lambda each: each["Tag"],
        "UniqueSize": _unique_size,
        "VirtualSize": lambda each: human_size(each.get("Size") or 0),
    }
    default = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if digests:
        default.insert(2, "Digest")
    view = View("formatter.imageContext", columns, HEADERS, default)
    view.raw = {
        "repository": "Repository",
        "tag": "Tag",
        **({"digest": "Digest"} if digests else {}),
        "image_id": "ID",
        "created_at": "CreatedAt",
        "virtual_size": "Size",
    }
    return view


HEADERS = {
    "Containers": "CONTAINERS",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "SharedSize": "SHARED SIZE",
    "Size": "SIZE",
    "Tag": "TAG",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "SIZE",
}


def short_id(identifier: str) -> str:
    """The first twelve digits."""
    return identifier.removeprefix("sha256:")[:_SHORT_ID]


def named(image: Json, *, digests: bool) -> list[Json]:
    """A row for every name of an image; one with ``<none>`` if it has none."""
    tags = _by_repository(image.get("RepoTags"), ":")
    known = _by_repository(image.get("RepoDigests"), "@")
    names = [
        (repository, tag, digest)
        for repository, labels in tags.items()
        for tag in labels
        for digest in (digests and known.get(repository)) or (NONE,)
    ]
    names += [
        (repository, NONE, digest)
        for repository, found in known.items()
        if repository not in tags
        for digest in (found if digests else (NONE,))
    ]
    return [
        {**image, "Repository": repository, "Tag": tag, "Digest": digest}
        for repository, tag, digest in names or [(NONE, NONE, NONE)]
    ]


def _by_repository(references: list[str] | None, separator: str) -> dict[str, list[str]]:
    """The tags or digests of each repository."""
    found: dict[str, list[str]] = {}
    for reference in references or ():
        repository, _, rest = reference.rpartition(separator)
        if repository != NONE:
            found.setdefault(repository, []).append(rest)
    return found


def _count(each: Json, key: str) -> str:
    value = each.get(key, -1)
    return "N/A" if value is None or value < 0 else str(value)


def _size(each: Json, key: str) -> str:
    value = each.get(key, -1)
    return "N/A" if value is None or value < 0 else human_size(value)


def _unique_size(each: Json) -> str:
    size, shared = each.get("Size", -1), each.get("SharedSize", -1)
    if size is None or shared is None or size < 0 or shared < 0:
        return "N/A"
    return human_size(size - shared)


def _created_at(each: Json) -> str:
    from knarr.cli.timestamps import zoned

    return zoned(each["Created"])


def created_since(each: Json) -> str:
    """How long ago it was made."""
    created = int(each["Created"])
    if created <= 0:
        return "N/A"
    return human_duration(int(time.time()) - created) + " ago"


COMMAND = Command(
    "[OPTIONS] [REPOSITORY[:TAG]]",
    execute,
    (
        ("all", "a", "", False, "Also show images that only serve others"),
        ("digests", "", "", False, "Also show digests"),
        ("filter", "f", "filter", "", "Show only those that match (name=value)"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("no-trunc", "", "", False, "Do not shorten"),
        ("quiet", "q", "", False, "Only print ids"),
    ),
    arguments=(0, 1),
)

"""``knarr history``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.image.ls import created_since, short_id
from knarr.cli.output import View
from knarr.cli.platforms import platform_query
from knarr.cli.quantities import human_size3
from knarr.cli.table import ellipsis
from knarr.cli.timestamps import local_iso
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_SHORT_COMMAND = 45
_HEADERS = {
    "Comment": "COMMENT",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "CreatedSince": "CREATED",
    "ID": "IMAGE",
    "Size": "SIZE",
}


def execute(call: Call) -> int:
    """Show the steps that made an image, the last one first."""
    flags = call.flags
    query = platform_query(flags.text("platform"))
    found = call.session.get(paths.image(call.arguments[0], "history"), query)
    view = view_of(whole=flags.on("no-trunc"), human=flags.on("human"))
    sys.stdout.write(
        view.show(found, flags.text("format"), quiet="ID" if flags.on("quiet") else "")
    )
    return 0


def view_of(*, whole: bool, human: bool) -> View:
    """The columns of steps. ``human``: ages and sizes for people."""
    columns = {
        "Comment": lambda each: each.get("Comment") or "",
        "CreatedAt": _created_at,
        "CreatedBy": lambda each: _created_by(each, whole=whole),
        "CreatedSince": created_since if human else _created_at,
        "ID": lambda each: _identifier(each, whole=whole),
        "Size": lambda each: human_size3(each["Size"]) if human else str(each["Size"]),
    }
    default = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
    headers = _HEADERS if human else {**_HEADERS, "CreatedSince": "CREATED AT"}
    return View("image.historyContext", columns, headers, default)


def _identifier(each: Json, *, whole: bool) -> str:
    identifier = str(each.get("Id") or "<missing>")
    return identifier if whole else short_id(identifier)


def _created_by(each: Json, *, whole: bool) -> str:
    text = str(each.get("CreatedBy") or "").replace("\t", " ")
    return text if whole else ellipsis(text, _SHORT_COMMAND)


def _created_at(each: Json) -> str:
    created = int(each["Created"])
    return local_iso(created) if created > 0 else ""


COMMAND = Command(
    "[OPTIONS] IMAGE",
    execute,
    (
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("human", "H", "", True, "Print ages and sizes for people"),
        ("no-trunc", "", "", False, "Do not shorten"),
        ("platform", "", "string", "", "Platform of the image (os[/arch[/variant]])"),
        ("quiet", "q", "", False, "Only print ids"),
    ),
    arguments=(1, 1),
)

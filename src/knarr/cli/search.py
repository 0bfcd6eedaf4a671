"""``knarr search``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.output import View, filters
from knarr.cli.table import ellipsis
from knarr.client.credentials import keychain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_DESCRIPTION = 45
_TABLE = ("", "[OK]")
_JSON = ("false", "true")


def execute(call: Call) -> int:
    """List the repositories of a registry that match a term."""
    flags = call.flags
    term = call.arguments[0]
    query: list[tuple[str, str | int | bool]] = [("term", term)]
    if flags.number("limit"):
        query.append(("limit", str(flags.number("limit"))))
    query += filters(flags.many("filter"))
    headers = keychain.headers(term, lambda text: print(text, file=sys.stderr))
    found = call.session.get("/images/search", query, headers=headers) or []
    form = flags.text("format")
    view = _view(
        whole=flags.on("no-trunc"), marks=_JSON if form in ("json", "{{json .}}") else _TABLE
    )
    sys.stdout.write(view.show(found, form))
    return 0


def _view(*, whole: bool, marks: tuple[str, str]) -> View:
    def description(each: Json) -> str:
        text = " ".join(str(each.get("description") or "").splitlines())
        return text if whole else ellipsis(text, _DESCRIPTION)

    columns = {
        "Description": description,
        "IsOfficial": lambda each: marks[bool(each.get("is_official"))],
        "Name": lambda each: each.get("name") or "",
        "StarCount": lambda each: str(each.get("star_count") or 0),
    }
    headers = {
        "Description": "DESCRIPTION",
        "IsOfficial": "OFFICIAL",
        "Name": "NAME",
        "StarCount": "STARS",
    }
    default = ["Name", "Description", "StarCount", "IsOfficial"]
    return View("registry.searchContext", columns, headers, default)


COMMAND = Command(
    "[OPTIONS] TERM",
    execute,
    (
        ("filter", "f", "filter", "", "Show only those that match (is-official, stars)"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("limit", "", "int", 0, "The most results"),
        ("no-trunc", "", "", False, "Do not shorten"),
    ),
    arguments=(1, 1),
)

"""``knarr network ls``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.output import View, filters
from knarr.cli.volume.ls import label, label_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_SHORT_ID = 12


def execute(call: Call) -> int:
    """List networks in order of their names."""
    flags = call.flags
    found = call.session.get("/networks", filters(flags.many("filter")))
    found.sort(key=lambda each: each["Name"])
    view = view_of(whole=flags.on("no-trunc"))
    quiet = "ID" if flags.on("quiet") else ""
    sys.stdout.write(view.show(found, flags.text("format"), quiet=quiet))
    return 0


def view_of(*, whole: bool) -> View:
    """The columns of networks."""
    columns = {
        "CreatedAt": _created_at,
        "Driver": lambda each: each["Driver"],
        "ID": lambda each: each["Id"] if whole else each["Id"][:_SHORT_ID],
        "IPv4": lambda each: _truth(each, "EnableIPv4"),
        "IPv6": lambda each: _truth(each, "EnableIPv6"),
        "Internal": lambda each: _truth(each, "Internal"),
        "Labels": label_list,
        "Name": lambda each: each["Name"],
        "Scope": lambda each: each["Scope"],
    }
    view = View(
        "network.networkContext",
        columns,
        _HEADERS,
        ("ID", "Name", "Driver", "Scope"),
        {"Label": label},
    )
    view.raw = {"network_id": "ID", "name": "Name", "driver": "Driver", "scope": "Scope"}
    return view


_HEADERS = {
    "CreatedAt": "CREATED AT",
    "Driver": "DRIVER",
    "ID": "NETWORK ID",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "Name": "NAME",
    "Scope": "SCOPE",
}


def _created_at(each: Json) -> str:
    from knarr.cli.timestamps import zoned_fraction

    return zoned_fraction(each["Created"])


def _truth(each: Json, key: str) -> str:
    return "true" if each.get(key) else "false"


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("filter", "f", "filter", "", "Show only those that match (name=value)"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("no-trunc", "", "", False, "Do not shorten"),
        ("quiet", "q", "", False, "Only print ids"),
    ),
)

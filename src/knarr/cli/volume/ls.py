"""``knarr volume ls``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.output import View, filters
from knarr.cli.quantities import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]


def execute(call: Call) -> int:
    """List volumes in order of their names."""
    flags = call.flags
    found = call.session.get("/volumes", filters(flags.many("filter")))["Volumes"] or []
    found.sort(key=lambda each: each["Name"])
    quiet = "Name" if flags.on("quiet") else ""
    sys.stdout.write(VIEW.show(found, flags.text("format"), quiet=quiet))
    return 0


def label_list(each: Json) -> str:
    """``a=1,b=2``."""
    labels = each.get("Labels") or {}
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def label(each: Json, arguments: Sequence[object]) -> str:
    """One label's value."""
    return str((each.get("Labels") or {}).get(str(arguments[0]), "")) if arguments else ""


def _usage(each: Json, key: str) -> int | None:
    usage = each.get("UsageData")
    return None if usage is None else usage[key]


def _links(each: Json) -> str:
    links = _usage(each, "RefCount")
    return "N/A" if links is None else str(links)


def _size(each: Json) -> str:
    size = _usage(each, "Size")
    return "N/A" if size is None else human_size(size)


VIEW = View(
    "formatter.volumeContext",
    {
        "Availability": lambda _each: "N/A",
        "Driver": lambda each: each["Driver"],
        "Group": lambda _each: "N/A",
        "Labels": label_list,
        "Links": _links,
        "Mountpoint": lambda each: each.get("Mountpoint") or "",
        "Name": lambda each: each["Name"],
        "Scope": lambda each: each.get("Scope") or "",
        "Size": _size,
        "Status": lambda _each: "N/A",
    },
    {
        "Availability": "AVAILABILITY",
        "Driver": "DRIVER",
        "Group": "GROUP",
        "Labels": "LABELS",
        "Links": "LINKS",
        "Mountpoint": "MOUNTPOINT",
        "Name": "VOLUME NAME",
        "Scope": "SCOPE",
        "Size": "SIZE",
        "Status": "STATUS",
    },
    ("Driver", "Name"),
    {"Label": label},
)
"""The columns of volumes; ``N/A`` is what only clusters have."""
VIEW.raw = {"name": "Name", "driver": "Driver"}

COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("filter", "f", "filter", "", "Show only those that match (name=value)"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("quiet", "q", "", False, "Only print names"),
    ),
)

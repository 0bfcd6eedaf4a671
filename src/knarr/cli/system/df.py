"""``knarr system df``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command
from knarr.cli.output import View
from knarr.cli.quantities import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_ACTIVE_STATES = ("running", "paused", "restarting")


def execute(call: Call) -> int:
    """Show how much disk each kind of object uses, and how much of it could be given back."""
    flags = call.flags
    known = call.session.get("/system/df")
    form = flags.text("format")
    if not flags.on("verbose"):
        sys.stdout.write(VIEW.show(rows(known), form))
        return 0
    from knarr.cli.system.df_verbose import fill, report

    sys.stdout.write(report(known) if form in ("", "table") else fill(known, form))
    return 0


def rows(known: Json) -> list[Json]:
    """The four kinds: how many, how many in use, bytes, bytes that could be given back."""
    return [_images(known), _containers(known), _volumes(known), _build_cache(known)]


def _row(kind: str, each: list[Any], active: int, size: int, reclaimable: int) -> Json:
    share = f" ({reclaimable * 100 // size}%)" if size > 0 and kind != "Build Cache" else ""
    return {
        "Type": kind,
        "TotalCount": str(len(each)),
        "Active": str(active),
        "Size": human_size(size),
        "Reclaimable": human_size(reclaimable) + share,
    }


def _images(known: Json) -> Json:
    images = known.get("Images") or []
    used = [image for image in images if image["Containers"] > 0]
    own = sum(
        image["Size"] - image["SharedSize"]
        for image in used
        if image["Size"] >= 0 and image["SharedSize"] >= 0
    )
    size = known.get("LayersSize") or 0
    return _row("Images", images, len(used), size, size - own)


def _containers(known: Json) -> Json:
    containers = known.get("Containers") or []
    active = [each for each in containers if each["State"] in _ACTIVE_STATES]
    size = sum(each.get("SizeRw") or 0 for each in containers)
    kept = sum(each.get("SizeRw") or 0 for each in active)
    return _row("Containers", containers, len(active), size, size - kept)


def _volumes(known: Json) -> Json:
    volumes = known.get("Volumes") or []
    usage = [each.get("UsageData") or {"RefCount": 0, "Size": 0} for each in volumes]
    size = sum(max(each["Size"], 0) for each in usage)
    unused = sum(max(each["Size"], 0) for each in usage if each["RefCount"] == 0)
    return _row("Local Volumes", volumes, sum(each["RefCount"] > 0 for each in usage), size, unused)


def _build_cache(known: Json) -> Json:
    entries = known.get("BuildCache") or []
    active = [each for each in entries if each.get("InUse")]
    size = known.get("BuilderSize") or 0
    kept = sum(each["Size"] for each in active if not each.get("Shared"))
    return _row("Build Cache", entries, len(active), size, size - kept)


VIEW = View(
    "formatter.diskUsageImagesContext",
    {
        "Active": lambda each: each["Active"],
        "Reclaimable": lambda each: each["Reclaimable"],
        "Size": lambda each: each["Size"],
        "TotalCount": lambda each: each["TotalCount"],
        "Type": lambda each: each["Type"],
    },
    {
        "Active": "ACTIVE",
        "Reclaimable": "RECLAIMABLE",
        "Size": "SIZE",
        "TotalCount": "TOTAL",
        "Type": "TYPE",
    },
    ("Type", "TotalCount", "Active", "Size", "Reclaimable"),
)

VIEW.raw = {
    "type": "Type",
    "total": "TotalCount",
    "active": "Active",
    "size": "Size",
    "reclaimable": "Reclaimable",
}

COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("verbose", "v", "", False, "Show every object"),
    ),
)

"""``knarr system df --verbose``: a table for each kind of object."""

from __future__ import annotations

from knarr.cli.container import ls as containers
from knarr.cli.image import ls as images
from knarr.cli.output import View
from knarr.cli.quantities import human_size
from knarr.cli.volume import ls as volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]

_IMAGE_COLUMNS = (
    "Repository",
    "Tag",
    "ID",
    "CreatedSince",
    "Size",
    "SharedSize",
    "UniqueSize",
    "Containers",
)
_CONTAINER_COLUMNS = (
    "ID",
    "Image",
    "Command",
    "LocalVolumes",
    "Size",
    "RunningFor",
    "Status",
    "Names",
)


def report(known: Json) -> str:
    """All tables."""
    found = [
        row for image in known.get("Images") or () for row in images.named(image, digests=False)
    ]
    return "\n".join(
        (
            "Images space usage:\n",
            _table(images.view_of(whole=False, digests=False), _IMAGE_COLUMNS, found),
            "Containers space usage:\n",
            _table(
                containers.view_of(whole=False, size=True),
                _CONTAINER_COLUMNS,
                [{**each, "SizeRootFs": 0} for each in known.get("Containers") or ()],
            ),
            "Local Volumes space usage:\n",
            _table(volumes.VIEW, ("Name", "Links", "Size"), known.get("Volumes") or ()),
            f"Build cache usage: {human_size(known.get('BuilderSize') or 0)}\n",
            _CACHE.show(known.get("BuildCache") or (), ""),
        )
    )


def _table(view: View, columns: tuple[str, ...], objects: Any) -> str:
    chosen = View(view.kind, view.columns, view.headers, columns)
    return chosen.show(objects, "")


_CACHE = View(
    "formatter.buildCacheContext",
    {
        "ID": lambda each: each["ID"][:12],
        "CacheType": lambda each: each.get("Type") or "",
        "Size": lambda each: human_size(each["Size"]),
        "CreatedSince": lambda each: each.get("CreatedAt") or "",
        "LastUsedSince": lambda each: each.get("LastUsedAt") or "",
        "UsageCount": lambda each: each["UsageCount"],
        "Shared": lambda each: str(bool(each.get("Shared"))).lower(),
    },
    {
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    },
    ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"),
)

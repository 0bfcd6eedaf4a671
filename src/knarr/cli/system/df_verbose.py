"""``knarr system df --verbose``: a table for each kind of object."""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.cli.container import ls as containers
from knarr.cli.image import ls as images
from knarr.cli.output import Fields, View
from knarr.cli.quantities import human_size
from knarr.cli.volume import ls as volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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


def fill(known: Json, form: str) -> str:
    """A template for all objects together, as docker has it: without a newline at the end."""
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError

    form = "{{json .}}" if form == "json" else form.removeprefix("table").strip()
    try:
        return Template(form.replace("\\t", "\t").replace("\\n", "\n")).render(_Everything(known))
    except TemplateError as error:
        raise CommandError(str(error)) from None


class _Everything:
    """All objects as a template sees them: four lists of rows."""

    is_row = True

    def __init__(self, known: Json) -> None:
        entries = images.view_of(whole=True, digests=False)
        boxes = containers.view_of(whole=True, size=True)
        self._lists: dict[str, list[Fields]] = {
            "Images": [
                Fields(entries, {**row, "Digest": ""})
                for image in known.get("Images") or ()
                for row in images.named(image, digests=False)
            ],
            "Containers": [
                Fields(boxes, {**each, "SizeRootFs": 0}) for each in known.get("Containers") or ()
            ],
            "Volumes": [Fields(volumes.VIEW, each) for each in known.get("Volumes") or ()],
            "BuildCache": [Fields(_CACHE, each) for each in known.get("BuildCache") or ()],
        }

    def field(self, name: str, arguments: Sequence[object]) -> object:
        """One of the lists."""
        del arguments
        if name in self._lists:
            return self._lists[name]
        from knarr.cli.template.errors import MissingFieldError

        raise MissingFieldError(f"can't evaluate field {name} in type *formatter.diskUsageContext")

    def plain(self) -> object:
        """All lists."""
        return {name: [row.plain() for row in rows] for name, rows in self._lists.items()}


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

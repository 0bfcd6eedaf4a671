"""``knarr ps``."""

from __future__ import annotations

import sys
import time

from knarr.cli.command import Command
from knarr.cli.output import View, filters
from knarr.cli.quantities import human_duration, human_size3
from knarr.cli.table import ellipsis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_IGNORED = "WARNING: Ignoring custom format, because both --format and --quiet are set."
_SHORT_ID = 12
_SHORT_COMMAND = 20
_SHORT_MOUNT = 15


def execute(call: Call) -> int:
    """List containers."""
    flags = call.flags
    form = flags.text("format")
    quiet = "ID" if flags.on("quiet") else ""
    last = 1 if flags.on("latest") and not flags.given("last") else flags.number("last")
    query: list[tuple[str, str | int | bool]] = []
    if flags.on("all") or last > 0:
        query.append(("all", 1))
    if last > 0:
        query.append(("limit", last))
    if quiet and form:
        print(_IGNORED, file=sys.stderr)
        form = form if form == "raw" else ""
    if flags.on("size") or (not flags.given("size") and (".Size" in form or "json ." in form)):
        query.append(("size", 1))
    query += filters(flags.many("filter"))
    found = call.session.get("/containers/json", query)
    view = view_of(whole=flags.on("no-trunc"), size=flags.on("size"))
    sys.stdout.write(view.show(found, form, quiet=quiet))
    return 0


def view_of(*, whole: bool, size: bool) -> View:
    """The columns of containers. ``whole``: nothing is shortened."""
    columns = {
        "Command": lambda each: _command(each, whole=whole),
        "CreatedAt": _created_at,
        "ID": lambda each: each["Id"] if whole else each["Id"][:_SHORT_ID],
        "Image": lambda each: _image(each, whole=whole),
        "Labels": _labels,
        "LocalVolumes": _local_volumes,
        "Mounts": lambda each: _mounts(each, whole=whole),
        "Names": lambda each: _names(each, whole=whole),
        "Networks": _networks,
        "Platform": _platform,
        "Ports": _ports,
        "RunningFor": _running_for,
        "Size": _size,
        "State": lambda each: each.get("State", ""),
        "Status": lambda each: each.get("Status", ""),
    }
    default = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]
    if size:
        default.append("Size")
    view = View("formatter.ContainerContext", columns, _HEADERS, default, {"Label": _label})
    view.misread, view.misfilled = "failed to parse template", "failed to execute template"
    view.raw = {**_RAW, "size": "Size"} if size else _RAW
    return view


_RAW = {
    "container_id": "ID",
    "image": "Image",
    "command": "Command",
    "created_at": "CreatedAt",
    "state": "State",
    "status": "Status",
    "names": "Names",
    "labels": "Labels",
    "ports": "Ports",
}


_HEADERS = {
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Labels": "LABELS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Mounts": "MOUNTS",
    "Names": "NAMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
    "Ports": "PORTS",
    "RunningFor": "CREATED",
    "Size": "SIZE",
    "State": "STATE",
    "Status": "STATUS",
}


def _command(each: Json, *, whole: bool) -> str:
    from knarr.cli.flags import quoted

    command = each.get("Command") or ""
    return quoted(command if whole else ellipsis(command, _SHORT_COMMAND))


def _created_at(each: Json) -> str:
    from knarr.cli.timestamps import zoned

    return zoned(each["Created"])


def _running_for(each: Json) -> str:
    return human_duration(int(time.time()) - int(each["Created"])) + " ago"


def _image(each: Json, *, whole: bool) -> str:
    image = each.get("Image") or ""
    if not image:
        return "<no image>"
    if whole:
        return str(image)
    identifier = str(each.get("ImageID", ""))
    if identifier.removeprefix("sha256:") == image.removeprefix("sha256:"):
        return identifier.removeprefix("sha256:")[:_SHORT_ID]
    return str(image.partition("@sha256:")[0])


def _labels(each: Json) -> str:
    labels = each.get("Labels") or {}
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels))


def _label(each: Json, arguments: Sequence[object]) -> str:
    return str((each.get("Labels") or {}).get(str(arguments[0]), "")) if arguments else ""


def _local_volumes(each: Json) -> str:
    mounts = each.get("Mounts") or ()
    return str(sum(mount.get("Driver") == "local" for mount in mounts))


def _mounts(each: Json, *, whole: bool) -> str:
    names = [mount.get("Name") or mount.get("Source") or "" for mount in each.get("Mounts") or ()]
    return ",".join(name if whole else ellipsis(name, _SHORT_MOUNT) for name in names)


def _names(each: Json, *, whole: bool) -> str:
    """The names; of links (``/other/alias``) only with ``--no-trunc``."""
    names = [name.removeprefix("/") for name in each.get("Names") or ()]
    return ",".join(name for name in names if whole or "/" not in name)


def _networks(each: Json) -> str:
    return ",".join(sorted((each.get("NetworkSettings") or {}).get("Networks") or ()))


def _platform(each: Json) -> object:
    from knarr.cli.template.typed import NIL

    descriptor = each.get("ImageManifestDescriptor") or {}
    return descriptor.get("platform") or NIL


def _ports(each: Json) -> str:
    ports = each.get("Ports")
    if not ports:
        return ""
    from knarr.cli.container.ports_shown import summarize

    return summarize(ports)


def _size(each: Json) -> str:
    own = human_size3(each.get("SizeRw") or 0)
    whole = each.get("SizeRootFs") or 0
    return f"{own} (virtual {human_size3(whole)})" if whole else own


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("all", "a", "", False, "Also show containers that do not run"),
        ("filter", "f", "filter", "", "Show only those that match (name=value)"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("last", "n", "int", -1, "Show the last containers that were made, in any state"),
        ("latest", "l", "", False, "Show the last container that was made, in any state"),
        ("no-trunc", "", "", False, "Do not shorten"),
        ("quiet", "q", "", False, "Only print ids"),
        ("size", "s", "", False, "Also show sizes"),
    ),
)

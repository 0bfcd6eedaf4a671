"""``knarr system prune``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.cli.image.prune import prune as prune_images
from knarr.cli.output import filters
from knarr.cli.pruning import PRUNE_FLAGS, confirm, total
from knarr.client.session import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.cli.command import Call

_NOT_THERE = (404, 501)


def execute(call: Call) -> int:
    """Remove containers that do not run, networks, images and build cache that nothing uses."""
    flags = call.flags
    entries = flags.many("filter")
    if flags.on("volumes") and any(entry.startswith("until=") for entry in entries):
        raise CommandError('ERROR: The "until" filter is not supported with "--volumes"')
    if not flags.on("force") and not confirm(_warning(call, entries)):
        return 0
    reclaimed = _prune(call, "containers", "Deleted Containers", "ContainersDeleted", entries)
    reclaimed += _prune(call, "networks", "Deleted Networks", "NetworksDeleted", entries)
    if flags.on("volumes"):
        reclaimed += _prune(call, "volumes", "Deleted Volumes", "VolumesDeleted", entries)
    removed, space = prune_images(call, entries, every=flags.on("all"))
    _list("Deleted Images", removed)
    reclaimed += space
    reclaimed += _prune(call, "build", "Deleted build cache objects", "CachesDeleted", entries)
    total(reclaimed)
    return 0


def _warning(call: Call, entries: Sequence[str]) -> str:
    flags = call.flags
    lines = [
        "WARNING! This will remove:",
        "  - all stopped containers",
        "  - all networks not used by at least one container",
    ]
    if flags.on("volumes"):
        lines.append("  - all anonymous volumes not used by at least one container")
    if flags.on("all"):
        lines += [
            "  - all images without at least one container associated to them",
            "  - all build cache",
        ]
    else:
        lines += ["  - all dangling images", "  - unused build cache"]
    if entries:
        lines += ["", "  Items to be pruned will be filtered with:"]
        lines += [f"  - {entry}" for entry in sorted(entries)]
    return "\n".join([*lines, ""])


def _prune(call: Call, noun: str, title: str, key: str, entries: Sequence[str]) -> int:
    """Remove one kind of object; the bytes given back. A kind that the engine lacks is skipped."""
    try:
        done = call.session.post(f"/{noun}/prune", filters(entries))
    except EngineError as error:
        if error.status in _NOT_THERE:
            return 0
        raise
    _list(title, done.get(key) or ())
    return int(done.get("SpaceReclaimed") or 0)


def _list(title: str, names: Sequence[str]) -> None:
    if names:
        print("\n".join([f"{title}:", *names, ""]))


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("all", "a", "", False, "Remove all images that no container uses"),
        *PRUNE_FLAGS,
        ("volumes", "", "", False, "Also remove volumes without a name"),
    ),
)

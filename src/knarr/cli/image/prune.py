"""``knarr image prune``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.output import filters
from knarr.cli.pruning import PRUNE_FLAGS, confirm, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from knarr.cli.command import Call

_WARNINGS = {
    False: "WARNING! This will remove all dangling images.",
    True: "WARNING! This will remove all images without at least one container associated to them.",
}


def execute(call: Call) -> int:
    """Remove images without a name; with ``--all`` all that no container uses."""
    flags = call.flags
    every = flags.on("all")
    if not flags.on("force") and not confirm(_WARNINGS[every]):
        return 0
    names, reclaimed = prune(call, flags.many("filter"), every=every)
    report("Deleted Images", names, reclaimed)
    return 0


def prune(call: Call, entries: Sequence[str], *, every: bool) -> tuple[list[str], int]:
    """Remove them; what was removed, and the bytes given back."""
    entries = [*entries, f"dangling={'false' if every else 'true'}"]
    done = call.session.post("/images/prune", filters(entries))
    return [_line(item) for item in done["ImagesDeleted"] or ()], int(done["SpaceReclaimed"])


def _line(item: dict[str, Any]) -> str:
    if item.get("Untagged"):
        return f"untagged: {item['Untagged']}"
    return f"deleted: {item['Deleted']}"


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (("all", "a", "", False, "Remove all images that no container uses"), *PRUNE_FLAGS),
)

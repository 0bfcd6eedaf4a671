"""``knarr volume prune``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.output import filters
from knarr.cli.pruning import PRUNE_FLAGS, confirm, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Remove volumes without a name that no container uses; with ``--all`` the others, too."""
    flags = call.flags
    kind = "all local" if flags.on("all") else "anonymous local"
    warning = f"WARNING! This will remove {kind} volumes not used by at least one container."
    if not flags.on("force") and not confirm(warning):
        return 0
    entries = flags.many("filter")
    if flags.on("all"):
        entries.append("all=true")
    done = call.session.post("/volumes/prune", filters(entries))
    report("Deleted Volumes", done["VolumesDeleted"] or (), done["SpaceReclaimed"])
    return 0


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (("all", "a", "", False, "Also remove volumes that have a name"), *PRUNE_FLAGS),
)

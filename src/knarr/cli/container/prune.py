"""``knarr container prune``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.output import filters
from knarr.cli.pruning import PRUNE_FLAGS, confirm, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Remove all containers that do not run."""
    warning = "WARNING! This will remove all stopped containers."
    if not call.flags.on("force") and not confirm(warning):
        return 0
    done = call.session.post("/containers/prune", filters(call.flags.many("filter")))
    report("Deleted Containers", done["ContainersDeleted"] or (), done["SpaceReclaimed"])
    return 0


COMMAND = Command("[OPTIONS]", execute, PRUNE_FLAGS)

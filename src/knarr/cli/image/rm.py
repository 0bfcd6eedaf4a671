"""``knarr rmi``."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.many import Failures
from knarr.cli.platforms import platform_query
from knarr.client import paths
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call

_NOT_FOUND = 404


def execute(call: Call) -> int:
    """Remove images by name or id, one after the other, since they may depend on each other.

    With ``--force`` an image that does not exist is reported, but no failure.
    """
    flags = call.flags
    query: list[tuple[str, str | int | bool]] = []
    if flags.on("force"):
        query.append(("force", 1))
    if flags.on("no-prune"):
        query.append(("noprune", 1))
    for platform in flags.many("platform"):
        query += platform_query(platform, "platforms")
    failures, forgiven = Failures(), Failures()
    for name in call.arguments:
        try:
            removed = call.session.delete(paths.image(name), query)
        except KnarrError as error:
            missing = getattr(error, "status", 0) == _NOT_FOUND
            (forgiven if missing and flags.on("force") else failures).add(name, error)
            continue
        for item in removed or ():
            if item.get("Deleted"):
                print(f"Deleted: {item['Deleted']}")
            else:
                print(f"Untagged: {item['Untagged']}")
    return failures.code


COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    execute,
    (
        ("force", "f", "", False, "Remove it though it is used or has several names"),
        ("no-prune", "", "", False, "Keep parents without a name"),
        ("platform", "", "strings", "", "Remove only this platform (os[/arch[/variant]])"),
    ),
    arguments=(1, None),
)

"""``knarr commit``."""

from __future__ import annotations

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Make an image of what the container has changed, and print its id."""
    flags = call.flags
    container, *name = call.arguments
    query: list[tuple[str, str | int | bool]] = [("container", container)]
    query += [("repo", each) for each in name]
    query += [("comment", flags.text("message")), ("author", flags.text("author"))]
    query.append(("pause", flags.on("pause")))
    query += [("changes", change) for change in flags.many("change")]
    print(call.session.post("/commit", query)["Id"])
    return 0


COMMAND = Command(
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    execute,
    (
        ("author", "a", "string", "", "Who made the image"),
        ("change", "c", "list", "", "Dockerfile instruction to apply to the image"),
        ("message", "m", "string", "", "Comment of the image"),
        ("pause", "p", "", True, "Freeze the container meanwhile"),
    ),
    arguments=(1, 2),
)

"""``knarr tag``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.client import paths
from knarr.client.session import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call


def execute(call: Call) -> int:
    """Give an image a further name."""
    source, target = call.arguments
    repository, tag = split_tag(target)
    query = [("repo", repository), ("tag", tag)]
    try:
        call.session.call("POST", paths.image(source, "tag"), query).read()
    except EngineError as error:
        if not str(error).startswith("invalid reference format"):
            raise
        problem = f'"{target}" is not a valid repository/tag: {error}'
        raise CommandError(f"Error parsing reference: {problem}") from error
    return 0


def split_tag(reference: str) -> tuple[str, str]:
    """A reference's repository and its tag, ``latest`` if it has none."""
    name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        return reference, "latest"
    return name, tag


COMMAND = Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", execute, arguments=(2, 2))

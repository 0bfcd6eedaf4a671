"""What the engine says of a file of a container, in a header."""

from __future__ import annotations

import binascii

from knarr.client import jsontext, paths
from knarr.client.session import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.client.http import Head

_HEADER = "x-docker-container-path-stat"
_DIRECTORY, _DEVICE = 1 << 31, 1 << 26


class PathStat:
    """A file; ``link`` is where a symbolic link leads, "" for anything else."""

    def __init__(self, mode: int, link: str) -> None:
        self.is_directory = bool(mode & _DIRECTORY)
        self.is_device = bool(mode & _DEVICE)
        self.link = link


def look(call: Call, container: str, path: str) -> PathStat | None:
    """What is at a path of a container, or None, also when it cannot be told."""
    try:
        response = call.session.call(
            "HEAD", paths.container(container, "archive"), [("path", path)]
        )
    except EngineError:
        return None
    response.read()
    return find(response.head)


def find(head: Head) -> PathStat:
    """What a response says of the file that it is about."""
    try:
        said = jsontext.loads(binascii.a2b_base64(head.headers.get(_HEADER, "")))
        return PathStat(int(said["mode"]), str(said["linkTarget"]))
    except (ValueError, KeyError, TypeError):
        return PathStat(0, "")

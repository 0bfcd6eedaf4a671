"""The paths of the Engine API's objects; names are percent-encoded.

Errors: ``InvalidArgumentError`` for an empty name, which would name all objects.
"""

from __future__ import annotations

from knarr.client.http import quote
from knarr.errors import InvalidArgumentError


def container(name: str, action: str = "") -> str:
    """A container's path; a leading slash of its name is dropped."""
    return _path("containers", "container name or ID", name.removeprefix("/"), action)


def image(name: str, action: str = "") -> str:
    """An image's path; its name may have slashes."""
    return _path("images", "image name or ID", name, action)


def network(name: str) -> str:
    """A network's path."""
    return _path("networks", "network name or ID", name, "")


def volume(name: str) -> str:
    """A volume's path."""
    return _path("volumes", "volume name", name, "")


def _path(noun: str, what: str, name: str, action: str) -> str:
    if not name.strip():
        raise InvalidArgumentError(f"invalid {what}: value is empty")
    suffix = f"/{action}" if action else ""
    return f"/{noun}/{quote(name, b'/:@')}{suffix}"

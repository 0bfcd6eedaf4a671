"""What the paths of ``cp`` mean, as text: trailing slashes, ``/.``, and the names in the archive.

A path that ends with a slash, or with ``/.``, says that it is a directory; ``/.`` says more: its
content is meant and not itself.

Law: pure, and as Docker does it; both ends of a copy use this.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from .entry import HARDLINK
from .failure import BadArchiveError

if TYPE_CHECKING:
    from .entry import Entry


class Side(NamedTuple):
    """One end of a copy. ``rename`` is the name that the source has in the archive, "" its own."""

    path: str
    exists: bool = True
    is_directory: bool = False
    rename: str = ""


class Placed(NamedTuple):
    """Where an archive is to be unpacked, and which name in it is to be replaced by which."""

    directory: str
    old: str = ""
    new: str = ""


def means_content(path: str) -> bool:
    """Whether the path ends with ``/.``, or is ``.``."""
    return path == "." or path.endswith("/.")


def means_directory(path: str) -> bool:
    """Whether the path can only be that of a directory."""
    return path.endswith("/") or means_content(path)


def clean(path: str) -> str:
    """The shortest form of a path, as Go's ``filepath.Clean`` has it; an empty one is ``.``."""
    short = posixpath.normpath(path) if path else "."
    return "/" + short.lstrip("/") if short.startswith("/") else short


def keep_ending(cleaned: str, path: str) -> str:
    """``cleaned`` with what ``path`` says by its ending."""
    if means_content(path) and not means_content(cleaned):
        cleaned += "." if cleaned.endswith("/") else "/."
    if path.endswith("/") and not cleaned.endswith("/"):
        cleaned += "/"
    return cleaned


def absolute(path: str) -> str:
    """A path in a container, from its root, with its ending."""
    return keep_ending(clean("/" + path), path)


def base(path: str) -> str:
    """The last component; ``/`` for the root, ``.`` for the content of a directory."""
    stripped = path.rstrip("/")
    return stripped.rpartition("/")[2] if stripped else ("/" if path else ".")


def split(path: str) -> tuple[str, str]:
    """The directory and the last component; the latter is ``.`` for the content of a directory."""
    whole = clean(path)
    if means_content(path):
        return whole, "."
    folder, _, name = whole.rpartition("/")
    if whole == "/":
        return "/", "/"
    return folder or ("/" if whole.startswith("/") else "."), name


def joined(folder: str, path: str) -> str:
    """``path`` as seen from ``folder``."""
    return path if path.startswith("/") else clean(posixpath.join(folder, path))


def renamed(path: str, resolved: str) -> tuple[str, str]:
    """A resolved path with the ending of what it was, and the name that it had if it changed."""
    if means_content(path) and not means_content(resolved):
        resolved += "/."
    if path.endswith("/") and not resolved.endswith("/"):
        resolved += "/"
    return resolved, "" if base(path) == base(resolved) else base(path)


def place(source: Side, destination: Side) -> Placed:
    """Where the archive of ``source`` is unpacked to come to ``destination``.

    Raises BadArchiveError in Docker's words when it cannot be.
    """
    folder, name = split(destination.path)
    if destination.exists and destination.is_directory:
        return Placed(destination.path)
    if destination.exists and source.is_directory:
        raise BadArchiveError("cannot copy directory")
    if not (destination.exists or source.is_directory) and means_directory(destination.path):
        raise BadArchiveError("no such directory")
    return Placed(folder, source.rename or split(source.path)[1], name)


def moved(entry: Entry, old: bytes, new: bytes) -> Entry:
    """The entry with the first ``old`` of its name replaced; a link to an earlier one follows."""
    name = entry.name.replace(old, new, 1)
    if entry.type == HARDLINK:
        return entry._replace(name=name, link=entry.link.replace(old, new, 1))
    return entry._replace(name=name)

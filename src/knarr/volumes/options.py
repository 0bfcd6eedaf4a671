"""Options of the local driver: what a volume shows instead of a directory of its own.

``type``, ``device`` and ``o`` are those of mount(8): a directory of the host (``o=bind``), a tmpfs,
an NFS export, a block device. Nothing is mounted on the host: every container mounts it in its own
mount namespace, so there is nothing to take away and nothing that a removal could reach.

Source: moby ``volume/local`` for the names and the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEEDED = {"type": ("device",), "device": ("type",), "o": ("device", "type")}
_KNOWN = frozenset({*_NEEDED, "size"})


class Source(NamedTuple):
    """What is mounted: ``kind`` is a type of file system, or ``bind``."""

    kind: str
    device: str
    options: tuple[str, ...]


def check(name: str, options: Mapping[str, str]) -> None:
    """Refuse options that the driver does not have, or that say too little."""
    for option in options:
        if option not in _KNOWN:
            raise InvalidArgumentError(f'create {name}: invalid option: "{option}"')
    if options.get("size"):
        raise InvalidArgumentError(
            f"create {name}: quota size requested but no quota support",
            hint="a tmpfs has a size: type=tmpfs, o=size=...",
        )
    for option, others in _NEEDED.items():
        for other in others:
            if option in options and other not in options:
                raise InvalidArgumentError(f'create {name}: missing required option: "{other}"')
    for word in _words(options):
        if word[:2] in {"X-", "x-"}:
            raise InvalidArgumentError(f'create {name}: invalid mount option: "{word}"')


def source(options: Mapping[str, str] | None) -> Source | None:
    """What a volume with these options shows; None is its own directory."""
    if not options or not options.get("type"):
        return None
    words = _words(options)
    is_bind = not {"bind", "rbind"}.isdisjoint(words)
    return Source("bind" if is_bind else options["type"], options.get("device", ""), words)


def _words(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for word in options.get("o", "").split(",") if word)

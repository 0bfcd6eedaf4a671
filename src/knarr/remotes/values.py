"""What a registry answers, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Index, Manifest


class Document(NamedTuple):
    """A manifest or an index as it was received; ``digest`` is of ``raw`` and was checked.

    ``view`` is the same parsed by ``knarr.oci.manifest``; its media type is ``media_type``.
    """

    raw: bytes
    digest: Digest
    media_type: str
    view: Manifest | Index


class SearchItem(NamedTuple):
    """One repository that a search found; ``is_automated`` and ``is_trusted`` are history."""

    name: str
    description: str = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False
    is_trusted: bool = False

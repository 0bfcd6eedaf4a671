"""What a registry answers, as values; and how long one waits for it."""

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


class Patience(NamedTuple):
    """How long a registry is waited for; seconds.

    ``attempts`` is how often one request is made at the most. Between two of them it waits
    ``first``, doubled each time up to ``most``; a registry that says ``Retry-After`` is obeyed up
    to ``obeyed``. ``silence`` is the longest time without a byte, ``crawl`` the longest time of
    waiting for 1024 bytes.
    """

    attempts: int = 5
    first: float = 0.5
    most: float = 8.0
    obeyed: float = 60.0
    connect: float = 15.0
    silence: float = 60.0
    crawl: float = 120.0

    def pause(self, attempt: int, jitter: float) -> float:
        """How long to wait after the failed ``attempt`` (from 1); ``jitter`` is from 0 to 1."""
        full = min(self.most, self.first * 2.0 ** (attempt - 1))
        return full * (0.5 + 0.5 * jitter)

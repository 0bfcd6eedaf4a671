"""Digests: names of content by its hash.

Law: a ``Digest`` names the bytes of a blob as stored or sent, a ``DiffID`` the bytes of a layer's
uncompressed tar, a ``ChainID`` a stack of layers. All are ``algorithm:hex`` in lower case; a blob
that is an uncompressed layer has a digest that is equal to its diff_id.

Sources: OCI image-spec descriptor.md "Digests" and config.md "Layer ChainID".
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NewType

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

Digest = NewType("Digest", str)
DiffID = NewType("DiffID", str)
ChainID = NewType("ChainID", str)

_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_SHAPE = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
_LOWER_HEX = re.compile(r"[a-f0-9]+", re.ASCII)


def parse(text: str) -> Digest:
    """Check ``text`` and give it back as a digest.

    Raises InvalidArgumentError with the words of Go's ``digest`` package, which Docker shows.
    """
    if not _SHAPE.fullmatch(text):
        raise InvalidArgumentError("invalid checksum digest format")
    algorithm, _, value = text.partition(":")
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise InvalidArgumentError("unsupported digest algorithm")
    if len(value) != length:
        raise InvalidArgumentError("invalid checksum digest length")
    if not _LOWER_HEX.fullmatch(value):
        raise InvalidArgumentError("invalid checksum digest format")
    return Digest(text)


def parse_stored(text: str) -> Digest:
    """Check ``text`` as ``parse`` does, and that it is sha256, the algorithm of knarr's stores."""
    digest = parse(text)
    if not digest.startswith("sha256:"):
        raise InvalidArgumentError(
            f'unsupported digest algorithm in "{text}"', hint="knarr stores sha256 content"
        )
    return digest


def parse_diff_id(text: str) -> DiffID:
    """Check ``text`` as ``parse_stored`` does and give it back as a diff_id."""
    return DiffID(parse_stored(text))


def hexdigest(digest: Digest | DiffID | ChainID) -> str:
    """The part behind the colon, as used in file names."""
    return digest.partition(":")[2]


def of_bytes(data: bytes) -> Digest:
    """The sha256 digest of ``data``."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def chain_id(parent: ChainID | None, diff_id: DiffID) -> ChainID:
    """The name of the stack that ``diff_id`` makes on top of ``parent`` (None: the lowest)."""
    if parent is None:
        return ChainID(diff_id)
    return ChainID(of_bytes(f"{parent} {diff_id}".encode()))


def chain_ids(diff_ids: Iterable[DiffID]) -> list[ChainID]:
    """The names of all stacks of a root filesystem, lowest first."""
    chain: list[ChainID] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else None, diff_id))
    return chain

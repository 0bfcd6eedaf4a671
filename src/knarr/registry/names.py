"""The words of a request: names of repositories, tags, digests.

Source: OCI distribution-spec, "Pulling manifests" (the grammars) and image-spec descriptor.md.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.oci import digest as digests
from knarr.registry import refusals
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from hashlib import _Hash

    from knarr.oci.digest import Digest

LONGEST_NAME = 255
ALGORITHMS = ("sha256", "sha512")

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)


def repository(text: str) -> str:
    """Check the name of a repository and give it back. Raises ``RefusedError``."""
    if not is_repository(text):
        raise RefusedError(refusals.NAME_INVALID, {"name": text[: 2 * LONGEST_NAME]})
    return text


def is_repository(text: str) -> bool:
    """Whether this can be the name of a repository."""
    return len(text) <= LONGEST_NAME and bool(_NAME.fullmatch(text))


def tag(text: str) -> str:
    """Check a tag and give it back. Raises ``RefusedError``."""
    if not _TAG.fullmatch(text):
        raise RefusedError(refusals.TAG_INVALID, {"tag": text[:256]})
    return text


def digest(text: str) -> Digest:
    """Check a digest and give it back; sha256 and sha512 are stored. Raises ``RefusedError``."""
    try:
        found = digests.parse(text)
    except InvalidArgumentError as error:
        raise RefusedError(refusals.DIGEST_INVALID, text[:256], message=error.message) from None
    if algorithm(found) not in ALGORITHMS:
        raise RefusedError(refusals.DIGEST_INVALID, text[:256], message="unsupported algorithm")
    return found


def is_digest(text: str) -> bool:
    """Whether a reference is meant as a digest; a tag has no colon."""
    return ":" in text


def algorithm(of: Digest) -> str:
    """The word before the colon."""
    return of.partition(":")[0]


def hasher(name: str) -> _Hash:
    """A new hash of one of ``ALGORITHMS``."""
    return hashlib.new(name, usedforsecurity=True)


def of_bytes(data: bytes, name: str) -> Digest:
    """The digest of ``data`` by one of ``ALGORITHMS``."""
    made = hasher(name)
    made.update(data)
    return digests.parse(f"{name}:{made.hexdigest()}")

"""The client of registries: OCI distribution 1.1 and Docker's registry API v2.

Scope: names, manifests and blobs of one repository on a registry, read and written over HTTP. It
knows no store and no image; ``images`` decides what is fetched and where it goes.

Law: nothing that a registry says is believed. A document has the digest that it was asked by, a
blob exactly the bytes that its descriptor says; everything else is an error and nothing is given
out beyond the limits. Credentials go to the registry that they are for and to the token service
that it names, and to no other host; they are in no error and no log.

Synchronous, safe to use from several threads, without a thread of its own. urllib3 is imported
when the first registry is spoken to and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.remotes.credentials import Credentials
from knarr.remotes.remotes import Remotes
from knarr.remotes.rules import RegistryRule, Rules
from knarr.remotes.values import Document, Patience, SearchItem

if TYPE_CHECKING:
    from knarr.remotes.repository import Repository

__all__ = [
    "Credentials",
    "Document",
    "Patience",
    "RegistryRule",
    "Remotes",
    "Repository",
    "Rules",
    "SearchItem",
]


def __getattr__(name: str) -> object:
    """``Repository`` loads urllib3, so it is there only for who asks for it."""
    if name == "Repository":
        from knarr.remotes.repository import Repository  # noqa: PLC0415

        return Repository
    raise AttributeError(name)

"""One repository on one registry: its manifests, its blobs, its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from knarr.errors import UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Index
    from knarr.oci.reference import Reference
    from knarr.remotes.values import Document


class Repository:
    """A path on a registry. Mirrors are read from first, in order; only the registry is written to.

    Every method may raise: ``NotFoundError`` (also for "pull access denied", as Docker's 404),
    ``UnauthenticatedError``, ``PermissionDeniedError``, ``ResourceExhaustedError``
    ("toomanyrequests: ..."), ``UnavailableError`` after it was tried again,
    ``DataLossError`` for an answer that is not what it has to be. All have Docker's words.
    Safe to use from several threads.
    """

    def __init__(self, name: Reference) -> None:
        self.name = name

    def resolve(self, reference: str) -> Descriptor:
        """The manifest that a tag or digest names now: its digest, size and media type."""
        raise UnimplementedError(f'"{reference}" cannot be asked for yet')

    def manifest(self, reference: str) -> Document:
        """The manifest or index by tag or digest; at most 4 MiB, verified, of the type it says."""
        raise UnimplementedError(f'"{reference}" cannot be fetched yet')

    def open_blob(
        self, descriptor: Descriptor, offset: int = 0
    ) -> AbstractContextManager[BinaryIO]:
        """The blob's bytes from ``offset`` to its end as a stream; leaving it ends the transfer.

        A dropped connection is made again where it broke. The number of bytes is exactly what the
        descriptor says or ``read`` raises ``DataLossError``; who reads checks the digest.
        ``read(n)`` gives ``n`` bytes except at the end.
        """
        raise UnimplementedError(f"blob {descriptor.digest} cannot be fetched yet")

    def has_blob(self, digest: Digest) -> int | None:
        """The blob's size, or None when the repository (on the registry itself) has it not."""
        raise UnimplementedError(f"blob {digest} cannot be asked for yet")

    def mount_blob(self, digest: Digest, source_path: str) -> bool:
        """Take the blob from another repository of the registry; False: it has to be pushed."""
        raise UnimplementedError(f"blob {digest} cannot be mounted from {source_path} yet")

    def push_blob(
        self,
        descriptor: Descriptor,
        open_at: Callable[[int], BinaryIO],
        progress: Callable[[int], None] = lambda sent: None,
    ) -> None:
        """Upload a blob; ``open_at(offset)`` opens its bytes from there, maybe several times.

        ``progress`` is told how many bytes the registry has by now (it can go back after a drop).
        Does not ask whether the blob is there already.
        """
        raise UnimplementedError(f"blob {descriptor.digest} cannot be pushed yet")

    def push_manifest(self, reference: str, raw: bytes, media_type: str) -> Digest:
        """Put a manifest or index under a tag or its digest; gives its digest."""
        raise UnimplementedError(f'"{reference}" cannot be pushed yet')

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order, page by page."""
        raise UnimplementedError(f'tags of "{self.name.name}" cannot be listed yet')

    def referrers(self, digest: Digest, artifact_type: str = "") -> Index:
        """What refers to a manifest (signatures, SBOMs): by the API, else by the fallback tag."""
        raise UnimplementedError(f"referrers of {digest} cannot be listed yet")

    def cancel(self) -> None:
        """Let everything under way in this object fail soon, from any thread."""

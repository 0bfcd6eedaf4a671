"""One repository on one registry: its manifests, its blobs, its tags."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import msgspec

from knarr.errors import DataLossError, InvalidArgumentError, KnarrError
from knarr.oci import digest as digests
from knarr.oci import reference as references
from knarr.oci.descriptor import Descriptor
from knarr.remotes import manifests
from knarr.remotes.blobs import BlobStream
from knarr.remotes.cancellation import CancelledError
from knarr.remotes.failure import (
    RefusedError,
    RegistryUnauthorizedError,
    refused_pull,
    refused_push,
)
from knarr.remotes.pages import pages
from knarr.remotes.session import Request
from knarr.remotes.uploads import Source, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Index
    from knarr.oci.reference import Reference
    from knarr.remotes.session import Session
    from knarr.remotes.values import Document

T = TypeVar("T")


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class Repository:
    """A path on a registry. Mirrors are read from first, in order; only the registry is written to.

    Every method may raise: ``NotFoundError`` (also for "pull access denied", as Docker's 404),
    ``UnauthenticatedError``, ``PermissionDeniedError``, ``ResourceExhaustedError``
    ("toomanyrequests: ..."), ``UnavailableError`` after it was tried again,
    ``DataLossError`` for an answer that is not what it has to be. All have Docker's words.
    Safe to use from several threads.
    """

    def __init__(self, name: Reference, sessions: Sequence[Session]) -> None:
        self.name = name
        self._path = references.parse_canonical(name.name).path  # no other characters in a request
        self._sessions = sessions
        self._registry = sessions[-1]
        self._pull = frozenset({f"repository:{self._path}:pull"})
        self._push = frozenset({f"repository:{self._path}:pull,push"})

    def resolve(self, reference: str) -> Descriptor:
        """The manifest that a tag or digest names now: its digest, size and media type."""
        reference = _checked(reference)

        def ask(session: Session) -> Descriptor:
            found = manifests.head(session, self._path, reference, self._pull)
            if found is None:
                document = manifests.get(session, self._path, reference, self._pull)
                size = len(document.raw)
                found = Descriptor(
                    media_type=document.media_type, digest=document.digest, size=size
                )
            return found

        return self._read(ask, reference)

    def manifest(self, reference: str) -> Document:
        """The manifest or index by tag or digest; at most 4 MiB, verified, of the type it says."""
        reference = _checked(reference)
        return self._read(
            lambda session: manifests.get(session, self._path, reference, self._pull), reference
        )

    def open_blob(
        self, descriptor: Descriptor, offset: int = 0
    ) -> AbstractContextManager[BinaryIO]:
        """The blob's bytes from ``offset`` to its end as a stream; leaving it ends the transfer.

        A dropped connection is made again where it broke. The number of bytes is exactly what the
        descriptor says or ``read`` raises ``DataLossError``; who reads checks the digest.
        ``read(n)`` gives ``n`` bytes except at the end.
        """
        digests.parse(descriptor.digest)
        if not 0 <= offset <= descriptor.size:
            raise InvalidArgumentError(f"blob {descriptor.digest} has no byte {offset}")
        stream = BlobStream(self._readable(), self.name, descriptor, self._pull, offset)
        return cast("AbstractContextManager[BinaryIO]", stream)

    def has_blob(self, digest: Digest) -> int | None:
        """The blob's size, or None when the repository (on the registry itself) has it not."""
        where = f"{self._path}/blobs/{digests.parse(digest)}"
        with self._writing():
            try:
                answer = self._registry.send(Request("HEAD", where, self._pull, is_checked=True))
            except RefusedError as error:
                if error.is_absence:
                    return None
                raise
            answer.close()
            if answer.length is None:
                raise DataLossError(f"blob {digest}: the registry does not say its size")
            return answer.length

    def mount_blob(self, digest: Digest, source_path: str) -> bool:
        """Take the blob from another repository of the registry; False: it has to be pushed."""
        source = references.parse_canonical(f"{self.name.domain}/{source_path}").path
        query = f"mount={digests.parse(digest)}&from={source}"
        scopes = self._push | {f"repository:{source}:pull"}
        where = f"{self._path}/blobs/uploads/?{query}"
        with self._writing():
            try:
                answer = self._registry.send(
                    Request("POST", where, scopes, {"Content-Length": "0"})
                )
            except RefusedError as error:
                if error.status in (400, 401, 403, 404, 405):  # the source is not ours to read
                    return False
                raise
            except RegistryUnauthorizedError:
                return False
            answer.close()
            if answer.status == 202:
                self._abandon(answer.header("Location"))
            return answer.status == 201

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
        digests.parse(descriptor.digest)
        source = Source(descriptor, open_at, progress)
        with self._writing():
            Upload(self._registry, self._path, source, self._push).run()

    def push_manifest(self, reference: str, raw: bytes, media_type: str) -> Digest:
        """Put a manifest or index under a tag or its digest; gives its digest."""
        reference = _checked(reference)
        with self._writing():
            content = (raw, media_type)
            return manifests.put(self._registry, self._path, reference, content, self._push)

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order, page by page."""
        session = self._read(self._listing, "")
        request = Request("GET", f"{self._path}/tags/list", self._pull)
        try:
            for body, answer in pages(session, request):
                yield from _tags(body, answer.url.shown)
        except RefusedError as error:
            raise refused_pull(error, self.name) from error

    def referrers(self, digest: Digest, artifact_type: str = "") -> Index:
        """What refers to a manifest (signatures, SBOMs): by the API, else by the fallback tag."""
        digest = digests.parse(digest)
        return self._read(
            lambda session: manifests.referrers(
                session, self._path, digest, artifact_type, self._pull
            ),
            digest,
        )

    def cancel(self) -> None:
        """Let everything under way in this object fail soon, from any thread."""
        self._registry.cancellation.cancel()

    def _readable(self) -> list[Session]:
        """The endpoints to read from, in order; the registry itself is the last."""
        mirrors = [each for each in self._sessions[:-1] if not each.endpoint.is_skipped]
        return [*mirrors, self._registry]

    def _read(self, ask: Callable[[Session], T], reference: str) -> T:
        """The first answer of an endpoint; of the registry itself also the error."""
        for session in self._readable()[:-1]:
            try:
                return ask(session)
            except CancelledError:
                raise
            except KnarrError as error:
                session.endpoint.failed(error)
        try:
            return ask(self._registry)
        except RefusedError as error:
            raise refused_pull(error, _named(self.name, reference)) from error

    def _listing(self, session: Session) -> Session:
        """The endpoint itself, if it lists tags."""
        if session.endpoint.is_mirror:
            session.send(Request("GET", f"{self._path}/tags/list?n=1", self._pull)).close()
        return session

    def _abandon(self, location: str) -> None:
        """Tell the registry that an upload that it began is not needed."""
        with contextlib.suppress(KnarrError):
            url = self._registry.endpoint.url(f"{self._path}/blobs/uploads/").joined(location)
            if url.origin == self._registry.endpoint.root.origin:
                self._registry.send(Request("DELETE", url, self._push, once=True)).close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            raise refused_push(error, self.name) from error


def _checked(reference: str) -> str:
    """A tag or a digest; raises InvalidArgumentError for what must not stand in a request."""
    if manifests.is_digest(reference):
        return digests.parse(reference)
    return references.Reference("", "").with_tag(reference).tag or ""


def _named(name: Reference, reference: str) -> Reference:
    if not reference:
        return name
    if manifests.is_digest(reference):
        return name._replace(tag=None, digest=digests.parse(reference))
    return name.with_tag(reference)


def _tags(body: bytes, where: str) -> list[str]:
    try:
        tags = msgspec.json.decode(body, type=_Tags).tags or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataLossError(f'"{where}" is no list of tags: {error}') from error
    for tag in tags:
        _checked(tag)
        if manifests.is_digest(tag):
            raise DataLossError(f'"{where}" lists a digest as a tag')
    return tags

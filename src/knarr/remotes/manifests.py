"""Manifests and indexes on one endpoint: asked for, checked, put.

Law: a document is what its digest says, not more than 4 MiB, and of the type that it says itself.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from knarr.errors import DataLossError, InvalidArgumentError
from knarr.oci import digest as digests
from knarr.oci import manifest as documents
from knarr.oci.descriptor import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from knarr.oci.digest import Digest
from knarr.remotes.failure import RefusedError
from knarr.remotes.pages import pages
from knarr.remotes.session import Request
from knarr.remotes.values import Document

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.remotes.session import Session

_ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST, "*/*;q=0.1"))
_VAGUE = frozenset({"", "application/json", "text/plain", "application/octet-stream"})
_MOST_REFERRERS = 10_000


def head(session: Session, path: str, reference: str, scopes: frozenset[str]) -> Descriptor | None:
    """What a tag or digest names, as far as the registry says it without the document itself.

    None when the document is needed to tell.
    """
    where = f"{path}/manifests/{reference}"
    request = Request("HEAD", where, scopes, {"Accept": _ACCEPT}, is_checked=is_digest(reference))
    try:
        answer = session.send(request)
    except RefusedError as error:
        if error.is_temporary or session.endpoint.is_mirror:
            raise
        return None  # only the answer to GET has words for it
    answer.close()
    said, media_type = answer.header("Docker-Content-Digest"), _media_type(answer.header)
    if not said or answer.length is None or media_type not in INDEXES | MANIFESTS:
        return None
    digest = _said_digest(said, reference)
    if not 0 < answer.length <= documents.LARGEST:
        raise DataLossError(f'manifest "{reference}" is said to have {answer.length} bytes')
    return Descriptor(media_type=media_type, digest=digest, size=answer.length)


def get(session: Session, path: str, reference: str, scopes: frozenset[str]) -> Document:
    """The document that a tag or digest names."""
    where = f"{path}/manifests/{reference}"
    request = Request("GET", where, scopes, {"Accept": _ACCEPT}, is_checked=is_digest(reference))
    answer = session.send(request)
    raw = answer.document(documents.LARGEST)
    if raw is None:
        raise InvalidArgumentError(
            f'manifest "{reference}" has more than the {documents.LARGEST} bytes allowed'
        )
    if answer.length is not None and answer.length != len(raw):
        raise DataLossError(f'manifest "{reference}" is not as long as the registry says')
    digest = digests.of_bytes(raw)
    if is_digest(reference):
        digest = _checked(raw, Digest(reference), reference)
    elif said := answer.header("Docker-Content-Digest"):
        _checked(raw, _said_digest(said, reference), reference)
    encoding = answer.header("Content-Encoding").strip().lower()
    if encoding not in ("", "identity") and not raw.lstrip().startswith(b"{"):
        raise InvalidArgumentError(
            f'manifest "{reference}" came with content encoding "{encoding[:40]}", '
            "which was not asked for"
        )
    media_type = _media_type(answer.header)
    view = documents.parse(raw, "" if media_type in _VAGUE else media_type)
    return Document(raw, digest, view.media_type, view)


def put(
    session: Session, path: str, reference: str, content: tuple[bytes, str], scopes: frozenset[str]
) -> Digest:
    """Put a document (its bytes and media type) under a tag or its digest."""
    raw, media_type = content
    digest = digests.of_bytes(raw)
    if is_digest(reference):
        digest = _checked(raw, Digest(reference), reference)
    headers = {"Content-Type": media_type}
    answer = session.send(Request("PUT", f"{path}/manifests/{reference}", scopes, headers, raw))
    answer.close()
    if said := answer.header("Docker-Content-Digest"):
        _checked(raw, _said_digest(said, reference), reference)
    return digest


def referrers(
    session: Session, path: str, digest: Digest, artifact_type: str, scopes: frozenset[str]
) -> documents.Index:
    """What names ``digest`` as its subject, of one type or of all."""
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    where = f"{path}/referrers/{digest}{query}"
    request = Request("GET", where, scopes, {"Accept": OCI_INDEX})
    found: list[Descriptor] = []
    try:
        for raw, answer in pages(session, request):
            if _media_type(answer.header) not in (OCI_INDEX, "application/json"):
                return _by_tag(session, path, digest, artifact_type, scopes)
            found += _entries(raw)
            if len(found) > _MOST_REFERRERS:
                raise DataLossError(f"more than {_MOST_REFERRERS} documents refer to {digest}")
    except RefusedError as error:
        if error.status not in (400, 404, 405) and error.code != "UNSUPPORTED":
            raise
        return _by_tag(session, path, digest, artifact_type, scopes)
    return _index(found, artifact_type)


def is_digest(reference: str) -> bool:
    """Whether a reference is a digest; no tag has a colon."""
    return ":" in reference


def _by_tag(
    session: Session, path: str, digest: Digest, artifact_type: str, scopes: frozenset[str]
) -> documents.Index:
    """The referrers as clients keep them at registries without the API: an index under a tag."""
    try:
        document = get(session, path, digest.replace(":", "-"), scopes)
    except RefusedError as error:
        if not error.is_absence:
            raise
        return _index([], artifact_type)
    return _index(_entries(document.raw), artifact_type)


def _entries(raw: bytes) -> list[Descriptor]:
    view = documents.parse(raw, OCI_INDEX)
    if not isinstance(view, documents.Index):
        raise InvalidArgumentError("invalid list of referrers: it is no index")
    for each in view.manifests:
        digests.parse(each.digest)
    return list(view.manifests)


def _index(found: list[Descriptor], artifact_type: str) -> documents.Index:
    chosen = tuple(
        each for each in found if not artifact_type or each.artifact_type == artifact_type
    )
    raw = documents.encode_index(chosen)
    return documents.Index(raw, digests.of_bytes(raw), OCI_INDEX, chosen)


def _checked(raw: bytes, digest: Digest, reference: str) -> Digest:
    algorithm = digest.partition(":")[0]
    found = Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")
    if found != digest:
        raise DataLossError(f'manifest verification failed for "{reference}": it is {found}')
    return digest


def _said_digest(text: str, reference: str) -> Digest:
    try:
        said = digests.parse(text.strip())
    except InvalidArgumentError as error:
        raise DataLossError(
            f'manifest "{reference}": the registry says no valid digest: {error.message}'
        ) from error
    if is_digest(reference) and said != reference and _algorithm(said) == _algorithm(reference):
        raise DataLossError(f'manifest verification failed for "{reference}": it is {said}')
    return said


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]


def _media_type(header: Callable[[str], str]) -> str:
    return header("Content-Type").partition(";")[0].strip().lower()

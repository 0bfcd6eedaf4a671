"""What a registry reads of a manifest before it takes it in.

The bytes are kept as they came: a manifest is its digest. Read is what it refers to, what it
belongs to (``subject``), and what the list of referrers shows of it. Anything that is a JSON object
with a known media type is taken, because artifacts of all kinds are stored as manifests.

Sources: OCI image-spec manifest.md and image-index.md; distribution-spec "Pushing Manifests".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.oci.descriptor import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor
from knarr.registry import names, refusals
from knarr.registry.metadata import ManifestRow, NewManifest
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.digest import Digest

LARGEST = 4 << 20
"""The most bytes of a manifest."""

_MOST_ENTRIES = 10_000
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_KNOWN = (OCI_MANIFEST, DOCKER_MANIFEST, *_INDEXES)
_FOREIGN = "foreign"  # in the media types of layers that are fetched from elsewhere


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None
    fs_layers: object = None


_DECODER = msgspec.json.Decoder(_Document)


def read(raw: bytes, media_type: str, digest: Digest) -> NewManifest:
    """What is to be recorded of a manifest that was pushed as ``media_type``.

    Raises ``RefusedError`` for what is none, or is another than its type says.
    """
    try:
        document = _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from error
    if document.schema_version == 1 or document.fs_layers is not None:
        raise RefusedError(refusals.MANIFEST_INVALID, message="schema version 1 is not supported")
    kind = document.media_type or media_type
    if media_type and document.media_type and document.media_type != media_type:
        raise _invalid(f"it says it is {document.media_type}, and was pushed as {media_type}")
    if kind not in _KNOWN:
        raise _invalid(f'media type "{kind[:256]}" is not known')
    is_index = kind in _INDEXES
    if document.manifests is not None and (document.layers or document.config):
        raise _invalid("it has both manifests and layers")
    if is_index and document.manifests is None:
        raise _invalid("it is an index without manifests")
    if not is_index and (document.config is None or document.manifests is not None):
        raise _invalid("it is a manifest without a config")
    config = [document.config] if document.config else []
    layers = [each for each in document.layers or () if not _is_elsewhere(each)]
    artifact_type = document.artifact_type
    if not artifact_type and document.config and not is_index:
        artifact_type = document.config.media_type
    return NewManifest(
        ManifestRow(digest, kind, raw),
        blobs=_names([*config, *layers]),
        manifests=_names(document.manifests or ()),
        subject=names.digest(document.subject.digest) if document.subject else None,
        artifact_type=artifact_type,
        annotations=msgspec.json.encode(document.annotations or {}).decode(),
    )


def _names(descriptors: Iterable[Descriptor]) -> list[Digest]:
    found: dict[Digest, None] = {}
    for each in descriptors:
        found[names.digest(each.digest)] = None
    if len(found) > _MOST_ENTRIES:
        raise _invalid(f"it refers to more than {_MOST_ENTRIES} things")
    return list(found)


def _is_elsewhere(layer: Descriptor) -> bool:
    """Whether a layer need not be in the registry: it may not be distributed freely."""
    return bool(layer.urls) and (
        _FOREIGN in layer.media_type or "nondistributable" in layer.media_type
    )


def _invalid(reason: str) -> RefusedError:
    return RefusedError(refusals.MANIFEST_INVALID, message=f"manifest invalid: {reason}")

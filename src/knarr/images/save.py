"""``docker save``: images as one tar that Docker, podman and skopeo load.

The archive is an OCI layout (``index.json``, ``oci-layout``, ``blobs/sha256/...``) with Docker's
``manifest.json`` and ``repositories`` beside it, as Docker writes it since version 25. A blob that
several images have is in it once.

Law: the same images in the same order give the same bytes: blobs are sorted, times are zero. An
image that came with a manifest goes out with that manifest and the very blobs that it names; an
index goes out whole, as far as its blobs are here. An image without one gets a new manifest over
uncompressed layers. What is read is checked against its digest.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import msgspec

from knarr.content import VerifyingReader
from knarr.images.intake import blob_path
from knarr.images.selection import Chosen, Targets, choose
from knarr.oci import digest as digests
from knarr.oci import manifest
from knarr.oci.descriptor import CONTAINERD_NAME_ANNOTATION, NAME_ANNOTATION, Descriptor
from knarr.oci.digest import DiffID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from knarr.images.catalog import Catalog
    from knarr.images.selection import Part, Target
    from knarr.images.stores import Stores
    from knarr.oci.digest import Digest
    from knarr.oci.platform import Platform
    from knarr.oci.reference import Reference

_CHUNK = 1 << 20
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def save(
    stores: Stores, catalog: Catalog, names: Sequence[str], *, platform: Platform | None
) -> Iterator[bytes]:
    """The archive in chunks; unknown names raise NotFoundError here, before the first chunk."""
    contents = _Contents()
    targets = Targets(stores, platform)
    for chosen in choose(stores, catalog, names):
        contents.add(chosen, targets)
    return _stream(stores, contents)


class _Contents:
    """What the archive will hold: blobs by digest, and the entries of its three tables."""

    def __init__(self) -> None:
        self.parts: dict[Digest, Part] = {}
        self._index: list[Descriptor] = []
        self._manifest: list[dict[str, str | list[str] | None]] = []
        self._repositories: dict[str, dict[str, str]] = {}

    def add(self, chosen: Chosen, targets: Targets) -> None:
        """Add one image with its names."""
        pointed = {name: targets.of(chosen.image, target) for name, target in chosen.names.items()}
        found = list(pointed.values()) or [targets.of(chosen.image, None)]
        for target in found:
            self.parts |= {part.digest: part for part in target.parts}
        used = found[0].used
        self._manifest.append(
            {
                "Config": blob_path(used.config.name()),
                "RepoTags": [name.familiar() for name in pointed] or None,
                "Layers": [blob_path(layer.name()) for layer in used.layers],
            }
        )
        if not pointed:
            self._index.append(found[0].descriptor)
        for name, target in pointed.items():
            self._index.append(_named(target, name))
            top = used.layers[-1].name() if used.layers else used.config.name()
            tags = self._repositories.setdefault(name.familiar_name, {})
            tags[name.tag or ""] = digests.hexdigest(top)

    def tables(self) -> list[tuple[str, bytes]]:
        """The documents that stand in the root of the archive, by name."""
        return [
            ("index.json", manifest.encode_index(tuple(self._index))),
            ("manifest.json", msgspec.json.encode(self._manifest)),
            ("oci-layout", _LAYOUT),
            ("repositories", msgspec.json.encode(self._repositories)),
        ]


def _named(target: Target, name: Reference) -> Descriptor:
    return msgspec.structs.replace(
        target.descriptor,
        annotations={
            CONTAINERD_NAME_ANNOTATION: name.canonical(),
            NAME_ANNOTATION: name.tag or "",
        },
    )


def _stream(stores: Stores, contents: _Contents) -> Iterator[bytes]:
    """The tar; what it needs is held by a lease until it is written."""
    with stores.collector.lease("save") as lease:
        every = list(contents.parts)
        stores.collector.keep(lease, blobs=every, layers=[DiffID(each) for each in every])
        yield _header("blobs/", None)
        yield _header("blobs/sha256/", None)
        for digest in sorted(contents.parts):
            yield from _part(stores, contents.parts[digest])
        for name, document in contents.tables():
            yield _header(name, len(document))
            yield document
            yield _padding(len(document))
        yield _END


def _part(stores: Stores, part: Part) -> Iterator[bytes]:
    yield _header(blob_path(part.digest), part.size)
    if part.raw is not None:
        yield part.raw
    else:
        with _open(stores, part.digest) as stream:
            reader = VerifyingReader(stream, part.digest, part.size)
            while chunk := reader.read(_CHUNK):
                yield chunk
    yield _padding(part.size)


def _open(stores: Stores, digest: Digest) -> BinaryIO:
    """A blob, or the layer whose diff_id it is."""
    if stores.blobs.find(digest) is not None:
        return stores.blobs.open(digest)
    return stores.layers.open_tar(DiffID(digest))


def _header(name: str, size: int | None) -> bytes:
    """A header with nothing in it that varies; ``size`` None is a directory."""
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    info.size = size or 0
    if size is None:
        info.type = tarfile.DIRTYPE
        info.mode = 0o755
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)

"""Takes the files of an image archive into the stores as they come by.

An archive names its layers only at its end (``manifest.json`` is the last file that ``docker
save`` writes), so each file is judged by its first bytes:

- an uncompressed tar is a layer: it goes to the layer store, and its digest is its diff_id;
- a compressed file is taken for a layer: the layer store gets the tar that comes out, and the
  blob store the compressed bytes in the same pass, so that a push can send the same digest;
- a small JSON document stays in memory;
- anything else below ``blobs/`` goes to the blob store, and the rest is passed over.

Law: everything that is stored is held by the lease before anything could delete it. A file whose
name is a digest (``blobs/sha256/<hex>``) must have that digest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from knarr.api.images import Progress, ProgressDetail
from knarr.archive import header
from knarr.archive.compression import sniff
from knarr.archive.failure import BadArchiveError
from knarr.errors import DataLossError, InvalidArgumentError, KnarrError
from knarr.images.expansion import Expanded
from knarr.images.members import Link, Member, members
from knarr.oci import digest as digests
from knarr.oci.digest import DiffID, Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.content import Writer
    from knarr.images.stores import Stores
    from knarr.metadata.leases import LeaseID
    from knarr.snapshots import LayerInfo

LARGEST_DOCUMENT = 8 << 20
"""The most bytes of a JSON document that is kept in memory."""

ALL_DOCUMENTS = 64 << 20
"""The most bytes of all documents of one archive together."""

_CHUNK = 1 << 20
_PROGRESS_STEP = 4 << 20
_BLOB = re.compile(r"(?:.*/)?blobs/sha256/([a-f0-9]{64})")
_BLOB_FOLDER = re.compile(r"(?:.*/)?blobs/[^/]+/[^/]+")
_MOST_LINKS = 16


class Stored(NamedTuple):
    """What became of a file: its digest and size, and the layer in it, or why there is none."""

    digest: Digest
    size: int
    layer: LayerInfo | None = None
    failure: KnarrError | None = None


class Archive(NamedTuple):
    """The files of an archive by name: documents, stored files, links."""

    documents: dict[str, bytes]
    files: dict[str, Stored]
    links: dict[str, str]

    def document(self, name: str) -> bytes | None:
        """The JSON document of that name, or None."""
        return self.documents.get(self._followed(name))

    def file(self, name: str) -> Stored | None:
        """The stored file of that name, or None."""
        return self.files.get(self._followed(name))

    def _followed(self, name: str) -> str:
        for _ in range(_MOST_LINKS):
            if name not in self.links:
                return name
            name = self.links[name]
        raise BadArchiveError(f'"{name}" is a link that leads in a circle')


def blob_path(digest: Digest) -> str:
    """Where an OCI layout keeps the blob."""
    return f"blobs/sha256/{digests.hexdigest(digest)}"


def take(
    stores: Stores, lease: LeaseID, stream: BinaryIO, progress: Callable[[Progress], None]
) -> Archive:
    """Read the whole archive; whatever its outer compression is. See the module's docstring."""
    archive = Archive({}, {}, {})
    taker = _Taker(stores, lease, progress)
    plain = Expanded(stream).as_file()
    for member in members(plain):
        if member.name in archive.documents or member.name in archive.files:
            raise BadArchiveError(f'the archive has two files named "{member.name}"')
        if isinstance(member, Link):
            archive.links[member.name] = member.target
            continue
        taken = taker.take(member)
        if isinstance(taken, bytes):
            archive.documents[member.name] = taken
        elif taken is not None:
            archive.files[member.name] = taken
    while plain.read(_CHUNK):
        pass  # what stands behind the end: the checksum of the compressed stream is there
    return archive


class _Taker:
    def __init__(
        self, stores: Stores, lease: LeaseID, progress: Callable[[Progress], None]
    ) -> None:
        self._stores = stores
        self._lease = lease
        self._progress = progress
        self._documents = 0

    def take(self, member: Member) -> bytes | Stored | None:
        """Store one file, or give a document back, or pass over what is neither."""
        match = _BLOB.fullmatch(member.name)
        claimed = Digest("sha256:" + match[1]) if match else None
        head = _read_up_to(member, header.BLOCK)
        source = _Source(head, member, self._progress)
        if _looks_like_tar(head):
            return self._layer(source, claimed)
        if sniff(head) != "plain":
            return self._compressed(source, claimed)
        if head.lstrip()[:1] in (b"{", b"[") and member.size <= LARGEST_DOCUMENT:
            return self._document(source, claimed)
        if _BLOB_FOLDER.fullmatch(member.name):
            return self._opaque(source, claimed)
        return None

    def _document(self, source: _Source, claimed: Digest | None) -> bytes:
        self._documents += source.size
        if self._documents > ALL_DOCUMENTS:
            raise InvalidArgumentError(
                f"the archive has more than {ALL_DOCUMENTS} bytes of documents"
            )
        document = _read_up_to(source, source.size)
        if claimed is not None and digests.of_bytes(document) != claimed:
            raise DataLossError(f"blob has digest {digests.of_bytes(document)}, expected {claimed}")
        return document

    def _layer(self, source: _Source, claimed: Digest | None) -> Stored:
        expected = DiffID(claimed) if claimed else None
        with self._stores.collector.ingesting():
            info = self._stores.layers.ingest(source.as_file(), expected=expected)
            self._stores.collector.keep(self._lease, layers=[info.diff_id])
        source.finish()
        return Stored(Digest(info.diff_id), source.size, info)

    def _compressed(self, source: _Source, claimed: Digest | None) -> Stored:
        failure: KnarrError | None = None
        info: LayerInfo | None = None
        with self._stores.collector.ingesting(), self._stores.blobs.ingest() as writer:
            source.copy_to(writer)
            try:
                info = self._stores.layers.ingest(
                    Expanded(source.as_file()).as_file(), expected=None
                )
            except (InvalidArgumentError, DataLossError) as error:
                # It may be no layer at all. If an image needs it, this is why it cannot have it.
                failure = error
            if info is not None:
                self._stores.collector.keep(self._lease, layers=[info.diff_id])
            source.finish()
            digest = self._commit(writer, source.size, claimed)
        return Stored(digest, source.size, info, failure)

    def _opaque(self, source: _Source, claimed: Digest | None) -> Stored:
        with self._stores.collector.ingesting(), self._stores.blobs.ingest() as writer:
            source.copy_to(writer)
            source.finish()
            digest = self._commit(writer, source.size, claimed)
        return Stored(digest, source.size)

    def _commit(self, writer: Writer, size: int, claimed: Digest | None) -> Digest:
        self._stores.collector.keep(self._lease, blobs=[writer.digest])
        return writer.commit(size, claimed)


class _Source:
    """A member again from its first byte, copied to a blob on the way, with progress."""

    def __init__(self, head: bytes, member: Member, progress: Callable[[Progress], None]) -> None:
        self.size = member.size
        self._head = head
        self._member = member
        self._progress = progress
        self._copy: Writer | None = None
        self._seen = 0
        self._told = 0
        match = re.search(r"[a-f0-9]{64}", member.name)
        self._id = match[0][:12] if match else member.name

    def copy_to(self, writer: Writer) -> None:
        """Write everything that is read to ``writer`` too."""
        self._copy = writer

    def as_file(self) -> BinaryIO:
        """This, for those who take a file; only ``read`` is used of it."""
        return cast("BinaryIO", self)

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        if self._head:
            wanted = len(self._head) if count < 0 else count
            data, self._head = self._head[:wanted], self._head[wanted:]
        else:
            data = self._member.read(count)
        if self._copy is not None:
            self._copy.write(data)
        self._seen += len(data)
        if self._seen - self._told >= _PROGRESS_STEP:
            self._tell()
        return data

    def finish(self) -> None:
        """Read what is left, so that the copy is complete."""
        while self.read(_CHUNK):
            pass
        self._tell()

    def _tell(self) -> None:
        self._told = self._seen
        detail = ProgressDetail(current=self._seen, total=self.size)
        self._progress(Progress(status="Loading layer", progress_detail=detail, id=self._id))


def _looks_like_tar(head: bytes) -> bool:
    """True for a header block, for the zero blocks of an empty tar, and, as Docker has it, for
    nothing at all: importing an empty stream makes an image with such a layer.
    """
    if not head:
        return True
    if len(head) < header.BLOCK:
        return False
    if head == header.ZERO_BLOCK:
        return True
    try:
        header.parse(head)
    except BadArchiveError:
        return False
    return True


def _read_up_to(source: Member | _Source, count: int) -> bytes:
    pieces: list[bytes] = []
    while count and (piece := source.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)

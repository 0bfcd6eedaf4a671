"""Blobs in a bucket of an S3-compatible store: what several servers share.

::

    <prefix>blobs/<algorithm>/<hex>            complete, never changed
    <prefix>uploads/<id>/begun                 an upload exists, and since when
    <prefix>uploads/<id>/<offset>-<random>     a segment of it, never changed

An object is there in full or not at all, and durable when the store has said so. Bytes of an upload
wait in memory until they are a segment or ``sync`` is called. ``finish`` lets the store put the
segments together; only those that are too small for that pass through this program once more.

Law: what becomes a blob is what was hashed. The names of segments are never used twice, and an
upload is finished from the very segments that this server has written or read, also when another
server has written to it meanwhile.
"""

from __future__ import annotations

import contextlib
import io
import threading
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from knarr.oci import digest as digests
from knarr.registry import names
from knarr.registry.storage import BlobInfo, UploadInfo
from knarr.registry.storage.s3client import S3Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.digest import Digest
    from knarr.registry.storage.place import S3Place

_SMALLEST_PART = 5 << 20  # of what the store puts together, except for the last part
_SEGMENT = 8 << 20
_MOST_OF_ONE = 1024  # a segment is no less than this part of what is there: 10,000 parts at most
_LARGEST_SEGMENT = 256 << 20
_CHUNK = 1 << 20
_BEGUN = "begun"


class _Segment(NamedTuple):
    name: str
    offset: int
    size: int


class _Growing:
    """An upload as this server knows it: segments that are stored, bytes that are not yet."""

    def __init__(self, segments: list[_Segment]) -> None:
        self.segments = segments
        self.pending = bytearray()

    @property
    def stored(self) -> int:
        return self.segments[-1].offset + self.segments[-1].size if self.segments else 0

    @property
    def size(self) -> int:
        return self.stored + len(self.pending)


class S3Driver:
    """See ``Driver``."""

    shared = True

    def __init__(self, place: S3Place) -> None:
        self._client = S3Client(place)
        self._lock = threading.Lock()
        self._growing: dict[str, _Growing] = {}

    def start_upload(self, upload: str) -> None:
        """See ``Driver``."""
        self._client.put(_upload_name(upload, _BEGUN), b"")
        with self._lock:
            self._growing[upload] = _Growing([])

    def append(self, upload: str, offset: int, data: bytes) -> int:
        """See ``Driver``."""
        known = self._known(upload)
        if not known.pending and self._stored(upload).stored != known.stored:
            self._forget(upload)
            raise ConflictError(f'upload "{upload}" has grown elsewhere')
        if known.size != offset:
            raise ConflictError(f'upload "{upload}" does not end at {offset}')
        known.pending += data
        if len(known.pending) >= _segment_size(known.stored):
            self._flush(upload, known)
        return known.size

    def sync(self, upload: str) -> None:
        """See ``Driver``."""
        known = self._known(upload)
        if known.pending:
            self._flush(upload, known)

    def upload_size(self, upload: str) -> int:
        """See ``Driver``."""
        with self._lock:
            known = self._growing.get(upload)
        if known is not None and known.pending:
            return known.size
        stored = self._stored(upload)
        if known is None or known.stored != stored.stored:
            with self._lock:
                self._growing[upload] = known = stored
        return known.size

    def read_upload(self, upload: str) -> Iterator[bytes]:
        """See ``Driver``."""
        known = self._known(upload)
        for segment in known.segments:
            yield from self._client.chunks(_upload_name(upload, segment.name), _CHUNK)
        if known.pending:
            yield bytes(known.pending)

    def finish(self, upload: str, digest: Digest) -> int:
        """See ``Driver``."""
        self.sync(upload)
        known = self._known(upload)
        blob = _blob_name(digest)
        if self._client.size(blob) is None:
            parts = self._parts(upload, known.segments)
            if parts:
                self._client.compose(blob, parts)
            else:
                self._client.put(blob, b"")
        self.abort(upload)
        return known.size

    def abort(self, upload: str) -> None:
        """See ``Driver``."""
        self._forget(upload)
        found = [each.name for each in self._client.all(_upload_name(upload, ""))]
        # What says that there is an upload goes last: a kill in between leaves nothing unseen.
        for name in sorted(found, key=lambda name: name.endswith(f"/{_BEGUN}")):
            self._client.delete(name)

    def open(self, digest: Digest) -> BinaryIO:
        """See ``Driver``."""
        size = self.size(digest)
        if size is None:
            raise NotFoundError(f"blob {digest} is not stored")
        return cast("BinaryIO", _Reader(self._client, _blob_name(digest), size))

    def size(self, digest: Digest) -> int | None:
        """See ``Driver``."""
        return self._client.size(_blob_name(digest))

    def delete(self, digest: Digest) -> None:
        """See ``Driver``."""
        self._client.delete(_blob_name(digest))

    def blobs(self) -> Iterator[BlobInfo]:
        """See ``Driver``."""
        for each in self._client.all("blobs/"):
            _, algorithm, value = each.name.split("/")
            with contextlib.suppress(InvalidArgumentError):
                yield BlobInfo(digests.parse(f"{algorithm}:{value}"), each.size)

    def uploads(self) -> Iterator[UploadInfo]:
        """See ``Driver``."""
        found: dict[str, tuple[int, float]] = {}
        for each in self._client.all("uploads/"):
            upload = each.name.split("/")[1]
            size, changed = found.get(upload, (0, 0.0))
            found[upload] = (size + each.size, max(changed, each.changed))
        for upload, (size, changed) in found.items():
            yield UploadInfo(upload, size, changed)

    def close(self) -> None:
        """See ``Driver``."""
        self._client.close()

    def _known(self, upload: str) -> _Growing:
        with self._lock:
            known = self._growing.get(upload)
        if known is None:
            known = self._stored(upload)
            with self._lock:
                known = self._growing.setdefault(upload, known)
        return known

    def _forget(self, upload: str) -> None:
        with self._lock:
            self._growing.pop(upload, None)

    def _stored(self, upload: str) -> _Growing:
        """What the bucket has of an upload: of segments in the way of each other, one each."""
        folder = _upload_name(upload, "")
        found, segments, begun = [], list[_Segment](), False
        for each in self._client.all(folder):
            name = each.name.removeprefix(folder)
            if name == _BEGUN:
                begun = True
            else:
                found.append(_Segment(name, int(name.partition("-")[0], 16), each.size))
        if not begun:
            raise NotFoundError(f'upload "{upload}" is not known')
        end = 0
        for segment in sorted(found):
            if segment.offset == end:
                segments.append(segment)
                end += segment.size
        return _Growing(segments)

    def _flush(self, upload: str, known: _Growing) -> None:
        data, offset = bytes(known.pending), known.stored
        segment = _Segment(f"{offset:016x}-{uuid.uuid4().hex}", offset, len(data))
        self._client.put(_upload_name(upload, segment.name), data)
        known.segments.append(segment)
        known.pending.clear()

    def _parts(self, upload: str, segments: list[_Segment]) -> list[str]:
        """Names of objects that the store can put together; small ones are joined first."""
        parts: list[str] = []
        group: list[_Segment] = []
        size = 0
        for index, segment in enumerate(segments):
            group.append(segment)
            size += segment.size
            if size < _SMALLEST_PART and index + 1 < len(segments):
                continue
            if len(group) == 1:
                parts.append(_upload_name(upload, segment.name))
            else:
                parts.append(self._joined(upload, group))
            group, size = [], 0
        return parts

    def _joined(self, upload: str, group: list[_Segment]) -> str:
        data = io.BytesIO()
        for segment in group:
            for chunk in self._client.chunks(_upload_name(upload, segment.name), _CHUNK):
                data.write(chunk)
        # Not a segment: where it would begin lies behind every end.
        name = _upload_name(upload, f"{'f' * 16}-{uuid.uuid4().hex}")
        self._client.put(name, data.getvalue())
        return name


class _Reader(io.RawIOBase):
    """A blob; where it is read from, a request for the rest is under way."""

    def __init__(self, client: S3Client, name: str, size: int) -> None:
        self._client = client
        self._name = name
        self._size = size
        self._position = 0
        self._answer: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        position = max(0, base + offset)
        if position != self._position:
            self._drop()
            self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        if self._answer is None:
            self._answer = self._client.open(self._name, self._position, left)
        data = self._client.read(self._answer, wanted)
        if not data:
            raise UnavailableError("the storage sent fewer bytes than a blob has")
        self._position += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()  # what was not read of it makes the connection useless
            answer.release_conn()


def _segment_size(stored: int) -> int:
    return min(max(_SEGMENT, stored // _MOST_OF_ONE), _LARGEST_SEGMENT)


def _upload_name(upload: str, name: str) -> str:
    return f"uploads/{upload}/{name}"


def _blob_name(digest: Digest) -> str:
    return f"blobs/{names.algorithm(digest)}/{digests.hexdigest(digest)}"

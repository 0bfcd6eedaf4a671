"""The few requests to an S3-compatible store that storage needs, with this house's errors.

Needs the package ``minio`` (the extra ``registry``). Safe to use from several threads.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import urllib3

from knarr.errors import InvalidArgumentError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.registry.storage.place import S3Place

_CONNECTIONS = 32
_CONNECT_SECONDS, _SILENCE_SECONDS = 10.0, 60.0
_ATTEMPTS, _BACKOFF = 4, 0.2
_TEMPORARY = (500, 502, 503, 504)
_SMALLEST_PART = 5 << 20
_ABSENT = frozenset({"NoSuchKey", "NotFound", "NoSuchObject"})


class Stored(NamedTuple):
    """An object: its name without the prefix, its bytes, when it was written (since 1970)."""

    name: str
    size: int
    changed: float


class S3Client:
    """One bucket. Raises ``UnavailableError`` when the store does not do what it should."""

    def __init__(self, place: S3Place) -> None:
        try:
            import minio  # noqa: PLC0415 - an optional package
            from minio.commonconfig import ComposeSource  # noqa: PLC0415
            from minio.credentials.providers import EnvAWSProvider  # noqa: PLC0415
        except ImportError as error:
            raise InvalidArgumentError(
                "storage in S3 needs the package minio", hint="pip install 'knarr[registry]'"
            ) from error
        self._errors = minio.error
        self._source = ComposeSource
        self._bucket, self._prefix = place.bucket, place.prefix
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS),
            retries=urllib3.Retry(_ATTEMPTS, backoff_factor=_BACKOFF, status_forcelist=_TEMPORARY),
            cert_reqs="CERT_REQUIRED",
            ca_certs=place.ca or None,
        )
        try:
            self._minio = minio.Minio(
                place.endpoint,
                access_key=place.access_key or None,
                secret_key=place.secret_key or None,
                region=place.region,
                secure=place.secure,
                http_client=self._pool,
                credentials=None if place.access_key else EnvAWSProvider(),
            )
        except ValueError as error:
            raise InvalidArgumentError(f'invalid endpoint "{place.endpoint}": {error}') from error
        with self._speaking():
            if not self._minio.bucket_exists(self._bucket):
                raise UnavailableError(f'there is no bucket "{self._bucket}"')

    def put(self, name: str, data: bytes) -> None:
        """Store an object; it is durable then."""
        with self._speaking():
            self._minio.put_object(
                self._bucket,
                self._prefix + name,
                io.BytesIO(data),
                len(data),
                part_size=max(len(data), _SMALLEST_PART),  # in one request
            )

    def compose(self, name: str, parts: Sequence[str]) -> None:
        """Let the store make one object of others; all but the last have at least 5 MiB."""
        with self._speaking():
            sources = [self._source(self._bucket, self._prefix + each) for each in parts]
            self._minio.compose_object(self._bucket, self._prefix + name, sources)

    def size(self, name: str) -> int | None:
        """The bytes of an object, None when there is none."""
        try:
            with self._speaking():
                found = self._minio.stat_object(self._bucket, self._prefix + name)
        except NotFoundError:
            return None
        return int(found.size or 0)

    def open(self, name: str, offset: int, length: int) -> Any:
        """A part of an object as an answer to ``read`` from. Raises ``NotFoundError``."""
        with self._speaking():
            return self._minio.get_object(self._bucket, self._prefix + name, offset, length)

    def read(self, answer: Any, size: int) -> bytes:
        """Some bytes of an answer; none at its end."""
        with self._speaking():
            data: bytes = answer.read(size)
        return data

    def chunks(self, name: str, size: int) -> Iterator[bytes]:
        """All bytes of an object. Raises ``NotFoundError``."""
        answer = self.open(name, 0, 0)
        try:
            while chunk := self.read(answer, size):
                yield chunk
        finally:
            answer.close()
            answer.release_conn()

    def delete(self, name: str) -> None:
        """Forget an object; one that is not there is a success."""
        with contextlib.suppress(NotFoundError), self._speaking():
            self._minio.remove_object(self._bucket, self._prefix + name)

    def all(self, prefix: str) -> Iterator[Stored]:
        """Every object whose name begins so."""
        with self._speaking():
            found = self._minio.list_objects(
                self._bucket, prefix=self._prefix + prefix, recursive=True
            )
            for each in found:
                name = str(each.object_name).removeprefix(self._prefix)
                changed = each.last_modified.timestamp() if each.last_modified else 0.0
                yield Stored(name, int(each.size or 0), changed)

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except self._errors.S3Error as error:
            if error.code in _ABSENT:
                raise NotFoundError("there is no such object") from error
            raise UnavailableError(f"the storage refuses: {error.code}") from error
        except (self._errors.MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise UnavailableError(f"the storage does not answer: {error}") from error

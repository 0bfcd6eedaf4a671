"""Pushing a blob: at once when it is small, else in one long request that can be resumed.

Law: the registry's word is what counts. After a dropped connection the upload's status says how
many bytes it has, and the next request begins there; an upload that it no longer knows begins
again. A proxy in between that takes no large request (413) gets smaller ones.

Source: OCI distribution spec 1.1, "Pushing blobs".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import quote

from knarr.content.failure import translated
from knarr.errors import DataLossError, InvalidArgumentError
from knarr.remotes.failure import DroppedError, RefusedError
from knarr.remotes.session import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from knarr.oci.descriptor import Descriptor
    from knarr.remotes.session import Session
    from knarr.remotes.transport import Answer
    from knarr.remotes.urls import Url

_SMALL = 1 << 20
_PIECE = 16 << 20
_BLOCK = 64 << 10  # each has to be taken within the time of a connect, also by a slow line
_MOST_STARTS = 3
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})", re.ASCII)


class Source(NamedTuple):
    """What is pushed: its descriptor, how it is opened at an offset, who is told of progress."""

    descriptor: Descriptor
    open_at: Callable[[int], BinaryIO]
    progress: Callable[[int], None]


class Upload:
    """One blob on its way to one repository."""

    def __init__(self, session: Session, path: str, source: Source, scopes: frozenset[str]) -> None:
        self._session = session
        self._path = path
        self._source = source
        self._size = source.descriptor.size
        self._scopes = scopes
        self._url: Url | None = None
        self._offset = 0
        self._piece: int | None = None
        self._attempt = 0
        self._starts = 0
        self._done = False

    def run(self) -> None:
        """Push all of it; raises ``RefusedError``, ``DroppedError`` or what ``open_at`` raises."""
        while not self._done:
            try:
                self._step()
            except (DroppedError, RefusedError) as error:
                self._recover(error)
        self._source.progress(self._size)

    def _step(self) -> None:
        """The next request."""
        if self._url is None:
            self._starts += 1
            self._begin()
            return
        if self._offset < self._size and self._size > _SMALL:
            count = self._size - self._offset
            count = min(count, self._piece or count)
            answer = self._sent("PATCH", self._url, self._offset, count)
            self._moved(answer)
            self._offset = self._reached(answer, self._offset + count)
            self._attempt = 0
            return
        target = self._url.with_query(f"digest={quote(self._source.descriptor.digest, safe='')}")
        answer = self._sent("PUT", target, self._offset, self._size - self._offset)
        answer.close()
        self._done = True

    def _begin(self) -> None:
        request = Request(
            "POST", f"{self._path}/blobs/uploads/", self._scopes, {"Content-Length": "0"}
        )
        answer = self._session.send(request)
        self._offset = 0
        self._moved(answer)

    def _moved(self, answer: Answer) -> None:
        """Take in where the upload goes on."""
        location = answer.header("Location")
        answer.close()
        asked = f'upload to "{answer.url.shown}"'
        if not location:
            raise DataLossError(f"{asked}: the registry does not say where it goes on")
        try:
            url = answer.url.joined(location)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{asked}: {error.message}") from error
        if url.origin.scheme == "http" and not self._session.endpoint.allows_plain_http:
            raise InvalidArgumentError(f"{asked}: going on at {url.origin} refused, it has no TLS")
        self._url = url

    def _sent(self, method: str, url: Url, offset: int, count: int) -> Answer:
        headers = {"Content-Type": "application/octet-stream"}
        if method == "PATCH" and (offset or count < self._size):
            headers["Content-Range"] = f"{offset}-{offset + count - 1}"
        if not count:
            headers["Content-Length"] = "0"
        request = Request(
            method,
            url,
            self._scopes,
            headers,
            body=(lambda: self._blocks(offset, count)) if count else None,
            length=count if count else None,
            once=True,
        )
        return self._session.send(request)

    def _blocks(self, offset: int, count: int) -> Iterator[bytes]:
        what = f"read blob {self._source.descriptor.digest}"
        with translated(what), self._source.open_at(offset) as stream:
            done = 0
            while done < count:
                self._session.cancellation.check()
                block = stream.read(min(_BLOCK, count - done))
                if not block:
                    raise DataLossError(
                        f"blob {self._source.descriptor.digest} is shorter than {self._size} bytes"
                    )
                yield block
                done += len(block)
                self._source.progress(offset + done)

    def _recover(self, error: DroppedError | RefusedError) -> None:
        """Find out where to go on after a failure; raises ``error`` when nowhere."""
        self._attempt += 1
        if self._url is None or self._attempt >= self._session.patience.attempts:
            raise error  # the session has tried the beginning several times
        if isinstance(error, RefusedError) and self._is_too_large(error):
            self._piece = _PIECE
        elif isinstance(error, RefusedError) and error.status in (404, 416):
            pass  # it has another idea of the upload than we
        elif not self._session.may_repeat(error, self._attempt):
            raise error
        self._session.pause(error, self._attempt)
        self._ask(error)

    def _is_too_large(self, error: RefusedError) -> bool:
        return error.status == 413 and self._piece is None and self._size > _PIECE

    def _ask(self, error: DroppedError | RefusedError) -> None:
        """Take over what the registry has; an upload that it does not know begins again."""
        if self._url is None:
            return
        try:
            answer = self._session.send(Request("GET", self._url, self._scopes))
        except RefusedError as refused:
            if refused.status not in (400, 404, 405):
                raise
            if self._is_there():
                self._done = True
            elif self._starts >= _MOST_STARTS:
                raise error from refused
            self._url = None
            return
        self._offset = self._reached(answer, 0)
        if answer.header("Location"):
            self._moved(answer)
        answer.close()

    def _is_there(self) -> bool:
        """Whether the blob is there: the answer that said so may have been lost."""
        where = f"{self._path}/blobs/{self._source.descriptor.digest}"
        try:
            answer = self._session.send(Request("HEAD", where, self._scopes, is_checked=True))
        except RefusedError:
            return False
        answer.close()
        return answer.length == self._size

    def _reached(self, answer: Answer, usual: int) -> int:
        """How many bytes the registry says it has; ``usual`` when it does not say."""
        match = _RANGE.fullmatch(answer.header("Range").strip())
        if match is None:
            return usual
        last = int(match[1])
        reached = last + 1 if last else usual  # "0-0" is also said of an upload without any byte
        if reached > self._size:
            raise DataLossError(
                f"upload of {self._source.descriptor.digest}: the registry has {reached} bytes, "
                f"expected at most {self._size}"
            )
        return reached

"""A blob while it comes: exactly as many bytes as its descriptor says, across dropped connections.

Law: where a connection ends early the next one goes on at the same byte (RFC 9110, section 14),
on the same endpoint and then on the next. A server that sends the whole again is read past what
is there. More bytes than announced, fewer, or other ones than asked for are ``DataLossError``.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from knarr.errors import DataLossError, KnarrError
from knarr.remotes.cancellation import CancelledError
from knarr.remotes.failure import DroppedError, RefusedError, refused_pull
from knarr.remotes.session import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

    from knarr.oci.descriptor import Descriptor
    from knarr.oci.reference import Reference
    from knarr.remotes.session import Session
    from knarr.remotes.transport import Answer

_PIECE = 1 << 20
_PASSED = 256 << 10
_WORTH = 64 << 10  # so many bytes are a success, after which all attempts are there again
_LONGEST_TAG = 256
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class BlobStream(io.RawIOBase):
    """The bytes of one blob from an offset to the end; see the law above. One thread at a time."""

    def __init__(
        self,
        sessions: Sequence[Session],
        name: Reference,
        descriptor: Descriptor,
        scopes: frozenset[str],
        offset: int = 0,
    ) -> None:
        self._sessions = list(sessions)
        self._name = name
        self._digest = descriptor.digest
        self._size = descriptor.size
        self._scopes = scopes
        self._position = offset
        self._attempt = 0
        self._since = 0
        self._answer: Answer | None = None
        self._tag: tuple[Session, str] | None = None
        if offset < self._size or not self._size:
            self._connect(None)

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes, fewer only at the end; raises as the class says."""
        if size is None or size < 0:
            size = self._size - self._position
        first = self._some(size)
        if len(first) == size or not first:
            return first
        chunks, count = [first], len(first)
        while count < size and (chunk := self._some(size - count)):
            chunks.append(chunk)
            count += len(chunk)
        return b"".join(chunks)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Some bytes into ``buffer``."""
        view = memoryview(buffer).cast("B")
        data = self._some(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End the transfer."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        super().close()

    def _some(self, size: int) -> bytes:
        while self._position < self._size and size:
            if self._answer is None:
                self._connect(None)
                continue
            wanted = min(size, self._size - self._position, _PIECE)
            try:
                data = self._answer.read(wanted)
                if not data:
                    raise _short(self._answer)
            except DroppedError as error:
                self._connect(error)
                continue
            self._position += len(data)
            self._since += len(data)
            if self._position == self._size:
                self._end()
            return data
        return b""

    def _end(self) -> None:
        """All bytes are there: nothing may follow."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        try:
            more = answer.read(1)
        except DroppedError:
            more = b""  # a close without manners behind the last byte
        finally:
            answer.close()
        if more:
            raise DataLossError(f"blob {self._digest} is longer than {self._size} bytes")

    def _connect(self, broken: DroppedError | None) -> None:
        """Ask for the bytes from here on; ``broken`` is what ended the connection before."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        while self._answer is None:
            if broken is not None:
                self._rest(broken)
            broken = None
            session = self._sessions[0]
            try:
                answer = session.send(self._request(session))
            except CancelledError:
                raise
            except KnarrError as error:  # the session has tried it several times
                self._leave(error)
                continue
            try:
                self._check(answer)
                self._answer = answer
                self._remember(session, answer)
            except DroppedError as error:
                broken = error
            except DataLossError as error:
                self._leave(error)
            finally:
                if self._answer is None:
                    answer.close()

    def _rest(self, broken: DroppedError) -> None:
        """Wait before the next attempt, or turn to the next endpoint."""
        session = self._sessions[0]
        if self._since >= _WORTH:
            self._attempt = 0
        self._attempt, self._since = self._attempt + 1, 0
        if session.endpoint.is_mirror and self._attempt == 1:
            return
        if session.may_repeat(broken, self._attempt):
            session.pause(broken, self._attempt)
        else:
            self._leave(broken)

    def _leave(self, error: KnarrError) -> None:
        """Turn to the next endpoint; raises ``error`` when there is none."""
        if len(self._sessions) == 1:
            if isinstance(error, RefusedError):
                raise refused_pull(error, self._name) from error
            raise error
        self._sessions.pop(0).endpoint.failed(error)
        self._attempt = 0

    def _request(self, session: Session) -> Request:
        headers = {"Accept": "application/octet-stream, */*"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
            if self._tag is not None and self._tag[0] is session:
                headers["If-Range"] = self._tag[1]
        where = f"{self._name.path}/blobs/{self._digest}"
        return Request("GET", where, self._scopes, headers, is_checked=True)

    def _remember(self, session: Session, answer: Answer) -> None:
        """Keep the strong ETag: with it the server says itself whether a part would still fit."""
        tag = answer.header("ETag")
        is_strong = tag.startswith('"') and len(tag) < _LONGEST_TAG
        self._tag = (session, tag) if is_strong and tag.isascii() and tag.isprintable() else None

    def _check(self, answer: Answer) -> None:
        """That the answer begins where we are, and is as long as it has to be."""
        start = 0
        if answer.status == 206:
            match = _RANGE.fullmatch(answer.header("Content-Range").strip())
            if match is None or int(match[1]) != self._position:
                raise DataLossError(f"blob {self._digest}: the registry sent another part of it")
            if match[3] != "*" and int(match[3]) != self._size:
                raise self._wrong_size(int(match[3]))
            start = self._position
        elif answer.status != 200:
            raise DataLossError(f"blob {self._digest}: unexpected status {answer.status}")
        if answer.length is not None and answer.length != self._size - start:
            raise self._wrong_size(answer.length + start)
        left = self._position - start
        while left:
            passed = answer.read(min(left, _PASSED))
            if not passed:
                raise _short(answer)
            left -= len(passed)

    def _wrong_size(self, size: int) -> DataLossError:
        return DataLossError(
            f"blob {self._digest} has {size} bytes at the registry, expected {self._size}"
        )


def _short(answer: Answer) -> DroppedError:
    return DroppedError(f'Get "{answer.url.shown}": unexpected EOF')

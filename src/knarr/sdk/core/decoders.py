"""Decoders of what streams carry: bytes, output of programs, lines, documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from knarr.api import streams
from knarr.api.images import Progress
from knarr.client.stdcopy import STDERR, Demultiplexer
from knarr.errors import UnavailableError

from . import failures
from .request import decode
from .values import Chunk, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from knarr.client.http import Head

    from .request import Decoder
    from .values import StreamName

T = TypeVar("T")

_LINE_LIMIT = 1024 * 1024
_TYPED = 42
_FRAME = b"\0\0\0"
_DOCUMENT_LIMIT = 64 * 1024 * 1024


class Bytes:
    """The bytes as they come."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The bytes."""
        return (data,)

    def end(self) -> Iterable[bytes]:
        """Nothing."""
        return ()


class RawOutput:
    """The output of a terminal: one stream."""

    def feed(self, data: bytes) -> Iterable[Chunk]:
        """The bytes."""
        return (Chunk("stdout", data),)

    def end(self) -> Iterable[Chunk]:
        """Nothing."""
        return ()


class FramedOutput:
    """The output of a program without a terminal: two streams in frames."""

    def __init__(self) -> None:
        self._frames = Demultiplexer()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The bytes of the two streams. Raises ``UnavailableError`` for what the engine reports."""
        for stream, part in self._frames.feed(data):
            yield Chunk("stderr" if stream == STDERR else "stdout", bytes(part))

    def end(self) -> Iterable[Chunk]:
        """Nothing."""
        return ()


class GuessedOutput:
    """Output in a form that an old engine does not tell: frames, if it begins like one."""

    def __init__(self) -> None:
        self._begin = b""
        self._chosen: RawOutput | FramedOutput | None = None

    def feed(self, data: bytes) -> Iterable[Chunk]:
        """The bytes, once the form is clear."""
        if self._chosen is not None:
            return self._chosen.feed(data)
        self._begin += data
        if len(self._begin) < len(_FRAME) + 1 and self._begin[1:] == _FRAME[: len(self._begin) - 1]:
            return ()
        framed = self._begin[0] <= STDERR and self._begin[1:4] == _FRAME
        self._chosen = FramedOutput() if framed else RawOutput()
        return self._chosen.feed(self._begin)

    def end(self) -> Iterable[Chunk]:
        """What was too short to be clear."""
        return RawOutput().feed(self._begin) if self._begin and not self._chosen else ()


class Lines:
    """Lines out of chunks, each of one stream; one longer than 1 MiB is cut."""

    def __init__(self) -> None:
        self._left: dict[StreamName, bytes] = {}

    def feed(self, chunk: Chunk) -> Iterator[Line]:
        """The lines that the chunk completes."""
        *lines, left = (self._left.get(chunk.stream, b"") + chunk.data).split(b"\n")
        while len(left) > _LINE_LIMIT:
            lines.append(left[:_LINE_LIMIT])
            left = left[_LINE_LIMIT:]
        self._left[chunk.stream] = left
        for line in lines:
            yield Line(chunk.stream, line.removesuffix(b"\r"))

    def end(self) -> Iterator[Line]:
        """The last lines, if they have no line feed."""
        for stream, line in self._left.items():
            if line:
                yield Line(stream, line.removesuffix(b"\r"))


class Documents(Generic[T]):
    """JSON documents, one a line, of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._left = b""

    def feed(self, data: bytes) -> Iterator[T]:
        """The documents that are complete. Raises ``UnavailableError`` for what is none."""
        *lines, self._left = (self._left + data).split(b"\n")
        if len(self._left) > _DOCUMENT_LIMIT:
            raise UnavailableError("the engine sent an endless document")
        for line in lines:
            if line.strip():
                yield decode(self._kind, line)

    def end(self) -> Iterator[T]:
        """The last document, if it has no line feed."""
        if self._left.strip():
            yield decode(self._kind, self._left)


class ProgressLines:
    """Lines of progress; one that reports an error raises it."""

    def __init__(self) -> None:
        self._documents = Documents(Progress)

    def feed(self, data: bytes) -> Iterator[Progress]:
        """The lines that are complete."""
        return map(_checked, self._documents.feed(data))

    def end(self) -> Iterator[Progress]:
        """The last line."""
        return map(_checked, self._documents.end())


def _checked(line: Progress) -> Progress:
    if line.error or line.error_detail:
        detail = line.error_detail
        words = (detail.message if detail else "") or line.error
        raise failures.from_progress(detail.code if detail else 0, words)
    return line


def raw(_head: Head) -> Decoder[bytes, bytes]:
    """An answer that is bytes."""
    return Bytes()


def output(head: Head) -> Decoder[bytes, Chunk]:
    """An answer that is a program's output: its type says in which form, since API 1.42."""
    kind = head.headers.get("content-type", "")
    if kind.startswith(streams.MULTIPLEXED):
        return FramedOutput()
    version = head.headers.get("api-version", "")
    old = version.startswith("1.") and version[2:].isdecimal() and int(version[2:]) < _TYPED
    return RawOutput() if kind.startswith(streams.RAW) and not old else GuessedOutput()


def known_output(*, tty: bool) -> Callable[[Head], Decoder[bytes, Chunk]]:
    """An answer that is a program's output in a form that is known."""
    return lambda _head: RawOutput() if tty else FramedOutput()


def progress(_head: Head) -> Decoder[bytes, Progress]:
    """An answer that tells how far something is."""
    return ProgressLines()


def documents(kind: type[T]) -> Callable[[Head], Decoder[bytes, T]]:
    """An answer of documents."""
    return lambda _head: Documents(kind)

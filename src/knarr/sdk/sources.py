"""What is sent to the engine, and where its bytes go: paths, open files, bytes, pieces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BLOCK = 256 * 1024


@runtime_checkable
class Readable(Protocol):
    """An open file, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; empty at the end."""


class Writable(Protocol):
    """An open file, or what is written to like one."""

    def write(self, data: bytes, /) -> object:
        """Take the bytes."""


if TYPE_CHECKING:
    Source = bytes | os.PathLike[str] | Readable | Iterable[bytes]


def pieces(source: Source) -> Iterator[bytes]:
    """The content, piece by piece. A path is opened at the first piece and closed after the last.

    Errors: ``InvalidArgumentError`` for a text, which could be both; ``OSError`` for a file.
    """
    if isinstance(source, str):
        raise InvalidArgumentError("a text is no content: give a pathlib.Path, or bytes")
    return _pieces(source)


def _pieces(source: Source) -> Iterator[bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield bytes(source)
    elif isinstance(source, os.PathLike):
        with Path(source).open("rb") as file:
            yield from _read(file)
    elif isinstance(source, Readable):
        yield from _read(source)
    else:
        yield from source


def _read(file: Readable) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block

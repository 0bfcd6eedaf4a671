"""Compressed streams: which one it is, and its plain bytes.

Scope: gzip (by isal, half of zlib's CPU), zstd, xz, bzip2 and plain, told apart by their first
bytes. Several members or frames in a row are one stream. How far a stream may expand is the
caller's decision, see ``CountingReader``; memory is bounded here.

Law: a damaged or truncated stream raises BadArchiveError and never looks like a shorter one.
"""

from __future__ import annotations

import bz2
import io
import lzma
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import zstandard
from isal import igzip_lib

from knarr.errors import ResourceExhaustedError

from .failure import BadArchiveError, TruncatedArchiveError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGICS = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)  # a zstd stream may begin with a skippable frame
_HEAD = 6
_READ = 1 << 20
_DECODER_ERRORS = (
    lzma.LZMAError,
    zstandard.ZstdError,
    cast("type[Exception]", igzip_lib.error),  # the stub says it is an exception, not its class
)
_INPUT = 256 << 10
_ZSTD_INPUT = 4 << 10  # its decoder gives all that its input makes; 4 KiB make at most 128 MiB
_XZ_MEMORY = 512 << 20


def sniff(head: bytes) -> str:
    """The compression of a stream that begins with ``head`` (6 bytes suffice), or ``plain``."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if len(head) >= 4 and int.from_bytes(head[:4], "little") in _SKIPPABLE:
        return "zstd"
    return "plain"


def decompressed(stream: BinaryIO) -> BinaryIO:
    """The plain bytes of ``stream``, whatever its compression; only ``read`` of it is used.

    Closing the result leaves ``stream`` open.
    """
    head = b""
    while len(head) < _HEAD and (more := stream.read(_HEAD - len(head))):
        head += more
    whole = _Rejoined(head, stream)
    kind = sniff(head)
    if kind == "plain":
        return cast("BinaryIO", whole)
    return cast("BinaryIO", io.BufferedReader(_Frames(whole, kind), _READ))


class CountingReader(io.RawIOBase):
    """A stream that counts what is read from it, and refuses to give more than ``limit`` bytes.

    Raises ResourceExhaustedError at the first byte too many; ``what`` names the stream in it.
    """

    def __init__(self, stream: BinaryIO, *, limit: int | None = None, what: str = "stream") -> None:
        self._stream = stream
        self._limit = limit
        self._what = what
        self.count = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """As ``read`` of the stream below."""
        data = self._stream.read(-1 if size is None else size)
        self.count += len(data)
        if self._limit is not None and self.count > self._limit:
            raise ResourceExhaustedError(f"{self._what} is larger than {self._limit} bytes")
        return data


class _Rejoined(io.RawIOBase):
    """A stream with its first bytes, which were read already, in front again."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            head, self._head = self._head, b""
            return head + self._stream.read()
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head + self._stream.read(size - len(head)) if len(head) < size else head
        return self._stream.read(size)


class _Decoder(Protocol):
    """What the decoders of lzma, bz2 and isal have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _ZstdDecoder:
    """zstandard's decoder with the face of the others."""

    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    @property
    def eof(self) -> bool:
        """Whether the frame is complete and all of it given."""
        return bool(self._object.eof) and not self._rest

    @property
    def unused_data(self) -> bytes:
        """What stands behind the frame."""
        return bytes(self._object.unused_data)

    @property
    def needs_input(self) -> bool:
        """Whether everything that the input made has been given."""
        return not self._rest

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Plain bytes, at most ``max_length``."""
        out = self._object.decompress(data) if data else b""
        if self._rest:
            out = self._rest + out
        self._rest = out[max_length:]
        return out[:max_length] if self._rest else out


def _decoder(kind: str) -> _Decoder:
    if kind == "gzip":
        return cast("_Decoder", igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP))
    if kind == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return _ZstdDecoder() if kind == "zstd" else bz2.BZ2Decompressor()


class _Frames(io.RawIOBase):
    """A compressed stream: frames one after the other, each with a decoder of its own."""

    def __init__(self, stream: _Rejoined, kind: str) -> None:
        self._stream = stream
        self._kind = kind
        self._decoder = _decoder(kind)
        self._input_size = _ZSTD_INPUT if kind == "zstd" else _INPUT
        self._padded = kind in ("gzip", "xz")  # zeros may stand between and behind frames
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._some(len(view))
        view[: len(data)] = data
        return len(data)

    def _some(self, size: int) -> bytes:
        """Some bytes, at most ``size``; nothing at the end."""
        while not self._ended:
            if self._decoder.eof:
                given = self._next_frame()
                if not given:
                    self._ended = True
                    break
                self._decoder = _decoder(self._kind)
            else:
                given = self._input()
            try:
                data = self._decoder.decompress(given, size)
            except (OSError, ValueError, EOFError, *_DECODER_ERRORS) as error:
                text = f"the {self._kind} stream is damaged: {error}"
                raise BadArchiveError(text) from error
            if data:
                return data
        return b""

    def _input(self) -> bytes:
        if not self._decoder.needs_input:
            return b""
        data = self._stream.read(self._input_size)
        if not data:
            raise TruncatedArchiveError(f"the {self._kind} stream is truncated")
        return data

    def _next_frame(self) -> bytes:
        """The first bytes behind the frame that ended; nothing when there are none."""
        rest = self._decoder.unused_data or self._stream.read(self._input_size)
        if not self._padded:
            return rest
        while rest and not (inside := rest.lstrip(b"\0")):
            rest = self._stream.read(self._input_size)
        return inside if rest else b""

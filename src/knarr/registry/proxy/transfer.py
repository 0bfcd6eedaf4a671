"""One blob on its way from the upstream into the storage, and to everybody who waits for it.

A worker takes the bytes in; they go into an upload and into a file without a name, from which those
who wait read. The last byte is given out when the whole was found to be what its digest says:
nobody ever has all of a wrong blob.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from typing import TYPE_CHECKING, Self

from knarr.errors import DataLossError, KnarrError, UnavailableError
from knarr.registry import names
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from knarr.oci.digest import Digest
    from knarr.registry.rules import Rules
    from knarr.registry.uploads import Upload

_log = logging.getLogger(__name__)
_PIECE = 1 << 20


class Transfer:
    """Made by the event loop, which also reads; ``take_in`` is for a worker."""

    def __init__(self, repository: str, digest: Digest, size: int, folder: Path) -> None:
        self.repository = repository
        self.digest = digest
        self.size = size
        self.is_ended = False
        self._file = tempfile.TemporaryFile(dir=folder, prefix="proxy-")  # noqa: SIM115 - kept
        self._received = 0
        self._is_right = False
        self._is_stopped = False
        self._readers = 0
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.error: KnarrError | None = None

    def stop(self) -> None:
        """Give up soon: the server ends."""
        self._is_stopped = True

    def take_in(self, rules: Rules, stream: BinaryIO) -> None:
        """Take all in and store it. Raises ``KnarrError`` when it cannot be had as it must be."""
        keeping = _Keeping(rules, self.repository)
        try:
            made = names.hasher(names.algorithm(self.digest))
            while data := stream.read(_PIECE):
                if self._is_stopped:
                    raise UnavailableError("the server ends")
                made.update(data)
                keeping.append(data)
                self._store(data)
            if self._received != self.size or made.hexdigest() != self.digest.partition(":")[2]:
                raise DataLossError(f"blob {self.digest}: the upstream sent something else")
            keeping.finish(self.digest)
            self._is_right = True
        finally:
            keeping.give_up()

    def end(self, error: KnarrError | None) -> None:
        """No more will come; for the event loop."""
        self.error = error
        self.is_ended = True
        self._tell()
        self._release()

    async def read(self, position: int, most: int) -> bytes:
        """Some bytes from ``position``, none at the end. Raises ``KnarrError`` if it failed."""
        while (upto := self._readable()) <= position:
            if self.is_ended:
                if self.error is not None:
                    raise self.error
                return b""
            await self._news.wait()
        return os.pread(self._file.fileno(), min(most, upto - position), position)

    async def ended(self) -> None:
        """Wait until all is stored. Raises ``KnarrError`` if it failed."""
        while not self.is_ended:
            await self._news.wait()
        if self.error is not None:
            raise self.error

    def __enter__(self) -> Self:
        self._readers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._readers -= 1
        self._release()

    def _readable(self) -> int:
        return self._received if self._is_right else min(self._received, self.size - 1)

    def _release(self) -> None:
        if self.is_ended and not self._readers:
            self._file.close()

    def _store(self, data: bytes) -> None:
        rest, end = memoryview(data), self._received + len(data)
        if end > self.size:
            raise DataLossError(f"blob {self.digest}: the upstream sent too much")
        while rest:
            rest = rest[os.pwrite(self._file.fileno(), rest, end - len(rest)) :]
        self._received = end
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class _Keeping:
    """The upload that makes it a blob here. When that fails, it is passed on and not kept."""

    def __init__(self, rules: Rules, repository: str) -> None:
        self._rules = rules
        self._upload: Upload | None = rules.uploads.begin(repository)

    def append(self, data: bytes) -> None:
        if self._upload is not None:
            try:
                self._upload.append(data)
            except (KnarrError, OSError, RefusedError) as error:
                self._lose(error)

    def finish(self, digest: Digest) -> None:
        if self._upload is not None:
            try:
                self._rules.finish_upload(self._upload, digest)
                self._upload = None
            except (KnarrError, OSError, RefusedError) as error:
                self._lose(error)

    def give_up(self) -> None:
        if self._upload is not None:
            upload, self._upload = self._upload, None
            self._rules.uploads.abort(upload)

    def _lose(self, error: Exception) -> None:
        _log.warning("a blob of an upstream is not kept: %s", error)
        self.give_up()

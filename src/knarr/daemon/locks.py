"""One engine for each data root and for each exec root.

Law: the lock is flock(2) on a file that is never removed, so it ends with the process, however that
ends; the process id in it is for people.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from knarr.errors import ConflictError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class RootLock:
    """The right to use a directory, as a context manager."""

    def __init__(self, root: Path, what: str) -> None:
        self._path = root / "engine.lock"
        self._what = what
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take it; raises ``ConflictError`` when another engine has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise ConflictError(
                f'{self._what} "{self._path.parent}" is in use by another engine'
                + (f", process {owner}" if owner else "")
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        os.close(self._descriptor)

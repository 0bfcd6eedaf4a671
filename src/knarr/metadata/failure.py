"""What SQLite refuses, in the words of ``knarr.errors``."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from knarr.errors import (
    DataLossError,
    InternalError,
    KnarrError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATEGORIES: dict[int, type[KnarrError]] = {
    sqlite3.SQLITE_FULL: ResourceExhaustedError,
    sqlite3.SQLITE_NOMEM: ResourceExhaustedError,
    sqlite3.SQLITE_TOOBIG: ResourceExhaustedError,
    sqlite3.SQLITE_CORRUPT: DataLossError,
    sqlite3.SQLITE_NOTADB: DataLossError,
    sqlite3.SQLITE_READONLY: PermissionDeniedError,
    sqlite3.SQLITE_PERM: PermissionDeniedError,
    sqlite3.SQLITE_CANTOPEN: PermissionDeniedError,
    sqlite3.SQLITE_BUSY: UnavailableError,
    sqlite3.SQLITE_LOCKED: UnavailableError,
    sqlite3.SQLITE_IOERR: DataLossError,
}

_FULL_DISK = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


@contextlib.contextmanager
def translated(attempt: str) -> Iterator[None]:
    """Turn an sqlite3 error inside into a KnarrError that begins with what was attempted."""
    try:
        yield
    except sqlite3.Error as error:
        raise _category(error)(f"{attempt}: {error}", detail=_name(error)) from error


def _category(error: sqlite3.Error) -> type[KnarrError]:
    """By the primary result code, which is the low byte of the extended one."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL_DISK:
        # The shared memory file is grown without SQLITE_FULL: on a full disk this is what comes.
        return ResourceExhaustedError
    return _CATEGORIES.get(code & 0xFF, InternalError)


def _name(error: sqlite3.Error) -> str | None:
    name: str | None = getattr(error, "sqlite_errorname", None)
    return name

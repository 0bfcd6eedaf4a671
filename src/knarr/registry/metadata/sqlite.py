"""The metadata of a registry in one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from knarr.errors import UnavailableError
from knarr.registry.metadata.schema import steps
from knarr.registry.metadata.sql import SqlMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from knarr.registry.metadata.sql import Transaction, Values

_BUSY_SECONDS = 30.0
_STEPS = steps(serial="INTEGER", bytes_="BLOB", real="REAL")


class SqliteMetadata(SqlMetadata):
    """See ``Metadata``. Writers take turns; every thread reads with a connection of its own.

    That writers take turns is all the locking that is needed.
    """

    quick = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._turn = threading.Lock()
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def close(self) -> None:
        """See ``Metadata``."""
        for connection in self._opened:
            connection.close()

    def _rows(self, query: str, values: Values = ()) -> list[Any]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection.execute(query, tuple(values)).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._turn:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise UnavailableError(f'cannot open database "{self._path}": {error}') from error
        connection.execute("PRAGMA foreign_keys = ON")
        self._opened.append(connection)
        return connection

    def _migrate(self) -> None:
        with self._writing():
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            if version > len(_STEPS):
                raise UnavailableError(
                    f'database "{self._path}" is of a newer version', hint="use a newer knarr"
                )
            for step in _STEPS[version:]:
                for statement in step:
                    self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version = {len(_STEPS)}")

"""The database file, its one writer and its readers."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from knarr.errors import UnavailableError
from knarr.metadata import schema
from knarr.metadata.containers import ContainerTable
from knarr.metadata.facts import FactTable
from knarr.metadata.failure import translated
from knarr.metadata.images import ImageTable
from knarr.metadata.leases import LeaseTable
from knarr.metadata.volumes import VolumeTable
from knarr.metadata.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

T = TypeVar("T")


class Database:
    """All state of one engine; safe to use from every thread.

    Writes take turns and return when they are committed. Reads run beside them on
    connections of their own (WAL: they see the last commit). Errors are those of the category
    that the cause has: a full disk is ResourceExhaustedError, a damaged file DataLossError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        _make_private(path)
        with translated(f'open database "{path}"'):
            connection = self._connect()
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                schema.migrate(connection)
            except BaseException:
                connection.close()
                raise
        self._writer = Writer(connection)
        self.images = ImageTable(self)
        self.leases = LeaseTable(self)
        self.containers = ContainerTable(self)
        self.volumes = VolumeTable(self)
        self.facts = FactTable(self)

    def write(self, body: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run ``body`` in a transaction and wait for its commit.

        ``durable`` False: a power cut may lose it, a crash of the process does not. Raises what
        ``body`` raises, after taking back what it wrote.
        """
        return self._writer.write(body, durable=durable)

    def submit(self, body: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> Future[T]:
        """As ``write``, but answers at once with a future that is done after the commit.

        Writes are done in the order of the calls. For a caller that must not block, or need not
        wait.
        """
        return self._writer.submit(body, durable=durable)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, inside one consistent snapshot of the database."""
        with translated("read from the database"):
            connection = self._take()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")
                self._give_back(connection)

    def close(self) -> None:
        """Finish the writes that are queued and close; the WAL is folded into the file."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise UnavailableError("the database is closed")
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _make_private(path: Path) -> None:
    """Make the file for root alone: records hold the environment of containers.

    SQLite gives the files that it makes beside it the same rights, and says what is wrong with a
    path that cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)

"""The metadata of a registry in PostgreSQL: what several servers over one storage share.

Needs the package ``psycopg`` (the extra ``registry``). Transactions run side by side; what must not
is kept apart by advisory locks that end with the transaction.
"""

from __future__ import annotations

import contextlib
import functools
import queue
from typing import TYPE_CHECKING, Any

from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.registry.metadata.schema import steps
from knarr.registry.metadata.sql import SqlMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.oci.digest import Digest
    from knarr.registry.metadata.sql import Result, Transaction, Values

_CONNECTIONS = 16
_WAIT_SECONDS = 30.0
_STEPS = steps(serial="BIGSERIAL", bytes_="BYTEA", real="DOUBLE PRECISION")
#: Keys of advisory locks: two numbers each, so that blobs and the rest never meet.
_BLOBS, _OTHER = 1, 2
_REFERENCES, _MIGRATION = 1, 2


class PostgresMetadata(SqlMetadata):
    """See ``Metadata``. ``url`` is what libpq takes (``postgresql://user@host/database``)."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an optional package
        except ImportError as error:
            raise InvalidArgumentError(
                "PostgreSQL needs the package psycopg", hint="pip install 'knarr[registry]'"
            ) from error
        self._psycopg = psycopg
        self._url = url
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(_CONNECTIONS):
            self._idle.put(None)  # a place for a connection that is not made yet
        self._migrate()

    def close(self) -> None:
        """See ``Metadata``."""
        while not self._idle.empty():
            connection = self._idle.get_nowait()
            if connection is not None:
                connection.close()

    def _rows(self, query: str, values: Values = ()) -> list[Any]:
        with self._connection() as db, db.transaction():
            return [_plain(row) for row in db.execute(_translated(query), tuple(values)).fetchall()]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._connection() as db, db.transaction():
            yield _Translating(db)

    def _lock_blob(self, db: Transaction, digest: Digest) -> None:
        # Two blobs that get the same lock wait for each other, and no more.
        number = int(digest.partition(":")[2][:7], 16)
        db.execute("SELECT pg_advisory_xact_lock(?, ?)", (_BLOBS, number))

    def _lock_references(self, db: Transaction, *, alone: bool) -> None:
        kind = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        db.execute(f"SELECT {kind}(?, ?)", (_OTHER, _REFERENCES))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            connection = self._idle.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            raise UnavailableError("all connections to the database are in use") from None
        try:
            if connection is None or connection.closed:
                connection = self._psycopg.connect(self._url, autocommit=True)
            yield connection
        except self._psycopg.OperationalError as error:
            if connection is not None:
                connection.close()
            connection = None
            raise UnavailableError(f"the database does not answer: {error}") from error
        finally:
            self._idle.put(connection)

    def _migrate(self) -> None:
        with self._writing() as db:
            db.execute("SELECT pg_advisory_xact_lock(?, ?)", (_OTHER, _MIGRATION))
            db.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
            row = db.execute("SELECT version FROM schema_version").fetchone()
            version = row[0] if row else 0
            if version > len(_STEPS):
                raise UnavailableError(
                    "the database is of a newer version", hint="use a newer knarr"
                )
            for step in _STEPS[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute("DELETE FROM schema_version")
            db.execute("INSERT INTO schema_version VALUES (?)", (len(_STEPS),))


class _Translating:
    """A connection that takes queries as they are written for SQLite."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, query: str, values: Values = ()) -> Result:
        result: Result = self._connection.execute(_translated(query), tuple(values))
        return result

    def executemany(self, query: str, values: Iterable[Values]) -> object:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(query), [tuple(each) for each in values])
        return None


@functools.cache
def _translated(query: str) -> str:
    """The query in PostgreSQL's words. No query has a percent sign or a question mark in a text."""
    listed = "(SELECT value FROM jsonb_array_elements_text(?::jsonb) AS each(value))"
    query = query.replace("(SELECT value FROM json_each(?))", listed)
    query = query.replace("? IS NULL", "?::double precision IS NULL")
    return query.replace("?", "%s")


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with bytes where PostgreSQL gives views of memory."""
    return tuple(bytes(each) if isinstance(each, memoryview) else each for each in row)

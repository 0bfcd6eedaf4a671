"""The one connection that writes.

SQLite allows one writer at a time, and a second one would wait by polling. So there is one
connection for writes and a turn at it: who has it puts all writes that wait at that moment into one
transaction, its own among them. Many clients then share one fsync, and a write that meets no other
is done in the thread that wants it. For those who must not block, a thread takes the turn. When
several writes share a transaction, each has its own savepoint: one that fails takes back nothing of
the others.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from knarr.errors import KnarrError, UnavailableError
from knarr.metadata.failure import translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

T = TypeVar("T")

_BATCH = 64
"""The most writes of one transaction."""


class _Job(NamedTuple):
    body: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: Future[Any]


class Writer:
    """Runs write bodies one after the other, in the order of the calls."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._jobs: deque[_Job] = deque()
        self._turn = threading.Lock()
        self._closed = False
        self._gate = threading.Lock()
        self._synchronous = ""
        #: True for each job that the thread is to look after, False to end it.
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="knarr-db-writer", daemon=True)
        self._thread.start()

    def write(self, body: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        """Run ``body`` and wait for the commit of its transaction; raises what ``body`` raises.

        With ``durable`` the commit survives a power cut, without only the death of the process.
        The body must not keep the connection, and must only use the database.
        """
        done = self._queue(body, durable=durable)
        with self._turn:
            while not done.done():
                self._run_some()
        return done.result()

    def submit(self, body: Callable[[sqlite3.Connection], T], *, durable: bool) -> Future[T]:
        """As ``write``, but answers at once with a future that is done after the commit."""
        done = self._queue(body, durable=durable)
        self._wanted.put(True)  # noqa: FBT003 - positional only
        return done

    def close(self) -> None:
        """Finish what is queued and close the connection; more writes raise."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._wanted.put(False)  # noqa: FBT003 - positional only
        self._thread.join()
        with self._turn:
            while self._jobs:
                self._run_some()
            self._connection.close()

    def _queue(self, body: Callable[[sqlite3.Connection], T], *, durable: bool) -> Future[T]:
        done: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise UnavailableError("the database is closed")
            self._jobs.append(_Job(body, durable, done))
        return done

    def _loop(self) -> None:
        while self._wanted.get():
            with self._turn:
                if self._jobs:  # nobody else has done it meanwhile
                    self._run_some()

    def _run_some(self) -> None:
        """One transaction with the jobs that have waited longest; for who has the turn."""
        batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), _BATCH))]
        outcomes: list[tuple[_Job, Any, Exception | None]]
        try:
            with translated("write to the database"):
                self._begin(durable=any(job.durable for job in batch))
                if len(batch) == 1:
                    outcomes = [(batch[0], batch[0].body(self._connection), None)]
                else:
                    outcomes = [(job, *self._run_one(job)) for job in batch]
                self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the waiting callers
            self._roll_back()
            for job in batch:
                job.done.set_exception(error)
            return
        for job, result, failure in outcomes:
            if failure is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(failure)

    def _begin(self, *, durable: bool) -> None:
        wanted = "FULL" if durable else "NORMAL"
        if wanted != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted
        self._connection.execute("BEGIN IMMEDIATE")

    def _run_one(self, job: _Job) -> tuple[Any, Exception | None]:
        self._connection.execute("SAVEPOINT job")
        try:
            with translated("write to the database"):
                result = job.body(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                # SQLite itself rolled everything back (disk full, I/O error): no job succeeded.
                raise
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(KnarrError), translated("roll back"):
                self._connection.execute("ROLLBACK")

"""Transactions, turns at writing, migrations, and what goes wrong with files."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from knarr.errors import (
    DataLossError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from knarr.metadata import Database, schema


def put(name: str, text: str = ""):
    return lambda connection: connection.execute("INSERT INTO facts VALUES (?, ?)", (name, text))


def names(db: Database) -> list[str]:
    with db.reading() as connection:
        return [row[0] for row in connection.execute("SELECT name FROM facts ORDER BY name")]


def test_a_write_is_seen_by_the_next_read_and_by_the_next_start(db, tmp_path):
    db.write(put("a"))
    assert names(db) == ["a"]
    db.close()
    again = Database(tmp_path / "knarr.db")
    assert names(again) == ["a"]
    again.close()


def test_a_failing_write_takes_back_its_own_and_raises_its_error(db):
    def body(connection: sqlite3.Connection) -> None:
        put("half")(connection)
        raise NotFoundError("nothing")

    with pytest.raises(NotFoundError):
        db.write(body)
    assert names(db) == []
    db.write(put("next"))
    assert names(db) == ["next"]


def test_writes_that_wait_together_share_a_transaction_but_not_their_failures(db):
    """The writer is held up by one job; the others are then one batch, of which one fails."""
    gate = threading.Event()
    first = db._writer.submit(lambda _: gate.wait(10), durable=False)
    batch = [db._writer.submit(put(f"n{n}"), durable=n % 2 == 0) for n in range(5)]
    broken = db._writer.submit(put("n0"), durable=True)
    count = db._writer.submit(lambda c: c.total_changes, durable=False)
    gate.set()
    assert first.result(10)
    for each in batch:
        each.result(10)
    with pytest.raises(InternalError, match="UNIQUE"):
        broken.result(10)
    assert count.result(10) == 5
    assert names(db) == [f"n{n}" for n in range(5)]


def test_durable_writes_are_synchronous_and_others_are_not(db):
    level = lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]  # noqa: E731
    assert db.write(level, durable=True) == 2
    assert db.write(level, durable=False) == 1


def test_a_reader_sees_one_moment(db):
    db.write(put("a"))
    with db.reading() as connection:
        before = connection.execute("SELECT count(*) FROM facts").fetchone()
        db.write(put("b"))
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == before
    assert names(db) == ["a", "b"]


def test_a_reader_cannot_write(db):
    with pytest.raises(PermissionDeniedError), db.reading() as connection:
        put("x")(connection)
    assert names(db) == []


def test_many_threads(db):
    def work(number: int) -> None:
        for turn in range(20):
            db.write(put(f"{number}-{turn}"), durable=False)
            assert f"{number}-{turn}" in names(db)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(names(db)) == 160


def test_closed_is_closed(db):
    db.close()
    db.close()
    with pytest.raises(UnavailableError):
        db.write(put("x"))
    with pytest.raises(UnavailableError):
        names(db)


def test_a_full_disk_is_told_and_survived(db):
    db.write(lambda c: c.execute("PRAGMA max_page_count = 60").fetchone())

    def fill() -> None:
        for n in range(100):
            db.write(put(f"n{n}", "x" * 8192))

    with pytest.raises(ResourceExhaustedError, match="full"):
        fill()
    kept = names(db)
    db.write(lambda c: c.execute("PRAGMA max_page_count = 6000").fetchone())
    db.write(put("after"))
    assert names(db) == ["after", *kept]


def test_no_database_is_data_loss(tmp_path):
    path = tmp_path / "knarr.db"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(DataLossError, match="open database"):
        Database(path)


def test_a_damaged_page_is_data_loss(db, tmp_path):
    for n in range(50):
        db.write(put(f"n{n}", "x" * 2000))
    db.close()
    path = tmp_path / "knarr.db"
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(DataLossError):
        names(Database(path))


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(PermissionDeniedError, match="unable to open"):
        Database(tmp_path / "missing" / "knarr.db")


def test_a_newer_schema_is_refused(db, tmp_path: Path):
    db.close()
    connection = sqlite3.connect(tmp_path / "knarr.db")
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(FailedPreconditionError, match="newer knarr"):
        Database(tmp_path / "knarr.db")


def test_every_migration_runs_once(db, tmp_path, monkeypatch):
    db.write(put("kept"))
    db.close()
    step = "CREATE TABLE later (x INTEGER) STRICT; INSERT INTO later VALUES (1)"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    for _ in range(2):
        again = Database(tmp_path / "knarr.db")
        with again.reading() as connection:
            assert connection.execute("SELECT count(*) FROM later").fetchone()[0] == 1
        assert names(again) == ["kept"]
        again.close()


def test_a_failing_migration_changes_nothing(db, tmp_path, monkeypatch):
    db.close()
    step = "CREATE TABLE later (x INTEGER) STRICT; CREATE TABLE later (x INTEGER) STRICT"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    with pytest.raises(InternalError):
        Database(tmp_path / "knarr.db")
    monkeypatch.undo()
    Database(tmp_path / "knarr.db").close()

"""The metadata of a registry in one SQLite file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from knarr.errors import (
    AlreadyExistsError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from knarr.oci.digest import Digest
from knarr.registry.metadata import ManifestRow, Referrer, TagRow, UploadRow
from knarr.registry.metadata.schema import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from knarr.registry.metadata import NewManifest

_BUSY_SECONDS = 30.0


class SqliteMetadata:
    """See ``Metadata``. Writers take turns; every thread reads with a connection of its own."""

    quick = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def repositories(self, last: str, limit: int) -> list[str]:
        """See ``Metadata``."""
        return self._column(
            "SELECT name FROM repositories WHERE name > ? ORDER BY name LIMIT ?", (last, limit)
        )

    def has_repository(self, name: str) -> bool:
        """See ``Metadata``."""
        return bool(self._column("SELECT 1 FROM repositories WHERE name = ?", (name,)))

    def delete_repository(self, name: str) -> bool:
        """See ``Metadata``."""
        with self._transaction() as db:
            return bool(db.execute("DELETE FROM repositories WHERE name = ?", (name,)).rowcount)

    def rename_repository(self, name: str, new: str) -> None:
        """See ``Metadata``."""
        with self._transaction() as db:
            try:
                done = db.execute("UPDATE repositories SET name = ? WHERE name = ?", (new, name))
            except sqlite3.IntegrityError:
                raise AlreadyExistsError(f'repository "{new}" already exists') from None
            if not done.rowcount:
                raise NotFoundError(f'repository "{name}" does not exist')

    def publish_blob(
        self, repository: str, digest: Digest, store: Callable[[], int], quota: int | None = None
    ) -> int:
        """See ``Metadata``."""
        now = time.time()
        with self._transaction() as db:
            size = store()
            place = _repository(db, repository, now)
            db.execute(
                "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET used = excluded.used",
                (digest, size, now),
            )
            _own(db, place, digest, now)
            if quota is not None and _size(db, place) > quota:
                raise ResourceExhaustedError(f"repository {repository} is full: {quota} bytes")
        return size

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """See ``Metadata``."""
        now = time.time()
        with self._transaction() as db:
            found = db.execute(
                "SELECT 1 FROM repo_blobs WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, source),
            ).fetchone()
            if found is None:
                return False
            db.execute("UPDATE blobs SET used = ? WHERE digest = ?", (now, digest))
            _own(db, _repository(db, repository, now), digest, now)
        return True

    def touch_blobs(self, repository: str, digests: Sequence[Digest]) -> None:
        """See ``Metadata``."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE repo_blobs SET used = ? WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                [(time.time(), digest, repository) for digest in digests],
            )

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """See ``Metadata``."""
        found = self._column(
            "SELECT size FROM blobs JOIN repo_blobs USING (digest) "
            "WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
            (digest, repository),
        )
        return found[0] if found else None

    def repositories_with(self, digest: Digest, limit: int) -> list[str]:
        """See ``Metadata``."""
        return self._column(
            "SELECT name FROM repositories JOIN repo_blobs ON repository = id "
            "WHERE digest = ? ORDER BY name LIMIT ?",
            (digest, limit),
        )

    def remove_blob(self, repository: str, digest: Digest) -> bool:
        """See ``Metadata``."""
        with self._transaction() as db:
            done = db.execute(
                "DELETE FROM repo_blobs WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, repository),
            )
            return bool(done.rowcount)

    def put_manifest(self, repository: str, new: NewManifest, tags: Iterable[str]) -> list[Digest]:
        """See ``Metadata``."""
        now, row = time.time(), new.row
        with self._transaction() as db:
            if missing := _missing(db, repository, new):
                return missing
            place = _repository(db, repository, now)
            db.execute(
                "INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    *(row.digest, row.media_type, row.raw),
                    *(new.subject, new.artifact_type, new.annotations),
                ),
            )
            references = [(row.digest, each, 1) for each in new.blobs]
            references += [(row.digest, each, 0) for each in new.manifests]
            db.executemany("INSERT OR IGNORE INTO manifest_refs VALUES (?, ?, ?)", references)
            db.execute(
                "INSERT INTO repo_manifests VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET used = excluded.used",
                (place, row.digest, now),
            )
            db.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
                [(place, name, row.digest, now) for name in tags],
            )
        return []

    def manifest(self, repository: str, digest: Digest) -> ManifestRow | None:
        """See ``Metadata``."""
        row = self._reader.execute(
            "SELECT digest, media_type, raw FROM manifests JOIN repo_manifests USING (digest) "
            "WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
            (digest, repository),
        ).fetchone()
        return ManifestRow(Digest(row[0]), row[1], row[2]) if row else None

    def remove_manifest(self, repository: str, digest: Digest) -> list[str] | None:
        """See ``Metadata``."""
        at = (digest, repository)
        with self._transaction() as db:
            done = db.execute(
                "DELETE FROM repo_manifests WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                at,
            )
            if not done.rowcount:
                return None
            found = db.execute(
                "DELETE FROM tags WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?) RETURNING name",
                at,
            ).fetchall()
            return sorted(name for (name,) in found)

    def tag(self, repository: str, name: str) -> Digest | None:
        """See ``Metadata``."""
        found = self._column(
            "SELECT digest FROM tags WHERE name = ? "
            "AND repository = (SELECT id FROM repositories WHERE name = ?)",
            (name, repository),
        )
        return Digest(found[0]) if found else None

    def tags(self, repository: str, last: str, limit: int) -> list[str]:
        """See ``Metadata``."""
        return self._column(
            "SELECT name FROM tags WHERE name > ? "
            "AND repository = (SELECT id FROM repositories WHERE name = ?) "
            "ORDER BY name LIMIT ?",
            (last, repository, limit),
        )

    def tag_rows(self, repository: str) -> list[TagRow]:
        """See ``Metadata``."""
        rows = self._reader.execute(
            "SELECT name, digest, changed FROM tags "
            "WHERE repository = (SELECT id FROM repositories WHERE name = ?)",
            (repository,),
        )
        return [TagRow(name, Digest(digest), changed) for name, digest, changed in rows]

    def put_tag(self, repository: str, name: str, digest: Digest) -> bool:
        """See ``Metadata``."""
        with self._transaction() as db:
            done = db.execute(
                "INSERT OR REPLACE INTO tags SELECT repository, ?, digest, ? FROM repo_manifests "
                "WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (name, time.time(), digest, repository),
            )
            return bool(done.rowcount)

    def remove_tag(self, repository: str, name: str, changed: float | None = None) -> bool:
        """See ``Metadata``."""
        with self._transaction() as db:
            done = db.execute(
                "DELETE FROM tags WHERE name = ? AND (? IS NULL OR changed = ?) "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (name, changed, changed, repository),
            )
            return bool(done.rowcount)

    def untagged_manifests(self, repository: str, before: float) -> list[Digest]:
        """See ``Metadata``."""
        return self._column(
            "SELECT digest FROM repo_manifests AS own JOIN manifests USING (digest) "
            "WHERE repository = (SELECT id FROM repositories WHERE name = ?) AND used < ? "
            "AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.repository = own.repository "
            "AND tags.digest = own.digest) "
            "AND NOT EXISTS (SELECT 1 FROM manifest_refs JOIN repo_manifests AS index_ "
            "ON manifest = index_.digest WHERE target = own.digest AND is_blob = 0 "
            "AND index_.repository = own.repository) "
            "AND (subject IS NULL OR NOT EXISTS (SELECT 1 FROM repo_manifests AS owner "
            "WHERE owner.repository = own.repository AND owner.digest = subject))",
            (repository, before),
        )

    def referrers(self, repository: str, subject: Digest, artifact_type: str) -> list[Referrer]:
        """See ``Metadata``."""
        rows = self._reader.execute(
            "SELECT digest, media_type, length(raw), artifact_type, annotations FROM manifests "
            "JOIN repo_manifests USING (digest) "
            "WHERE subject = ? "
            "AND repository = (SELECT id FROM repositories WHERE name = ?) "
            "AND (? = '' OR artifact_type = ?) "
            "ORDER BY digest",
            (subject, repository, artifact_type, artifact_type),
        )
        return [Referrer(*row) for row in rows]

    def add_upload(self, upload: UploadRow) -> None:
        """See ``Metadata``."""
        with self._transaction() as db:
            db.execute("INSERT INTO uploads VALUES (?, ?, ?)", upload)

    def upload(self, upload: str) -> UploadRow | None:
        """See ``Metadata``."""
        row = self._reader.execute("SELECT * FROM uploads WHERE id = ?", (upload,)).fetchone()
        return UploadRow(*row) if row else None

    def remove_upload(self, upload: str) -> None:
        """See ``Metadata``."""
        with self._transaction() as db:
            db.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def uploads(self) -> list[UploadRow]:
        """See ``Metadata``."""
        return [UploadRow(*row) for row in self._reader.execute("SELECT * FROM uploads")]

    def forget_unused(self, before: float) -> int:
        """See ``Metadata``."""
        with self._transaction() as db:
            done = db.execute(
                "DELETE FROM repo_blobs WHERE used < ? AND NOT EXISTS ("
                "SELECT 1 FROM manifest_refs JOIN repo_manifests ON manifest = "
                "repo_manifests.digest WHERE target = repo_blobs.digest "
                "AND repo_manifests.repository = repo_blobs.repository)",
                (before,),
            )
            db.execute(
                "DELETE FROM manifests WHERE NOT EXISTS ("
                "SELECT 1 FROM repo_manifests WHERE repo_manifests.digest = manifests.digest)"
            )
            return done.rowcount

    def unowned_blobs(self, before: float, limit: int) -> list[Digest]:
        """See ``Metadata``."""
        return self._column(
            "SELECT digest FROM blobs WHERE used < ? AND NOT EXISTS ("
            "SELECT 1 FROM repo_blobs WHERE repo_blobs.digest = blobs.digest) LIMIT ?",
            (before, limit),
        )

    def drop_blob(self, digest: Digest, before: float, delete: Callable[[], None]) -> bool:
        """See ``Metadata``."""
        with self._transaction() as db:
            row = db.execute("SELECT used FROM blobs WHERE digest = ?", (digest,)).fetchone()
            owned = db.execute("SELECT 1 FROM repo_blobs WHERE digest = ?", (digest,)).fetchone()
            if owned or (row and row[0] >= before):
                return False
            delete()
            db.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
        return True

    def known_blobs(self, digests: Sequence[Digest]) -> set[Digest]:
        """See ``Metadata``."""
        found = self._column(
            "SELECT digest FROM blobs WHERE digest IN (SELECT value FROM json_each(?))",
            (json.dumps(list(digests)),),
        )
        return set(found)

    def repository_size(self, repository: str) -> int:
        """See ``Metadata``."""
        (found,) = self._column(
            "SELECT coalesce(sum(size), 0) FROM blobs JOIN repo_blobs USING (digest) "
            "WHERE repository = (SELECT id FROM repositories WHERE name = ?)",
            (repository,),
        )
        return int(found)

    def close(self) -> None:
        """See ``Metadata``."""
        for connection in self._opened:
            connection.close()

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

    @property
    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect()
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def _migrate(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > len(STEPS):
            raise UnavailableError(
                f'database "{self._path}" is of a newer version', hint="use a newer knarr"
            )
        with self._transaction() as db:
            for step in STEPS[version:]:
                for statement in step:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(STEPS)}")

    def _column(self, query: str, values: tuple[object, ...]) -> list:  # type: ignore[type-arg]
        return [value for (value,) in self._reader.execute(query, values)]


def _repository(db: sqlite3.Connection, name: str, now: float) -> int:
    """The id of a repository, which is made if it is not there."""
    db.execute(
        "INSERT INTO repositories (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, now)
    )
    (found,) = db.execute("SELECT id FROM repositories WHERE name = ?", (name,)).fetchone()
    return int(found)


def _own(db: sqlite3.Connection, place: int, digest: Digest, now: float) -> None:
    db.execute(
        "INSERT INTO repo_blobs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET used = excluded.used",
        (place, digest, now),
    )


def _size(db: sqlite3.Connection, place: int) -> int:
    (found,) = db.execute(
        "SELECT sum(size) FROM blobs JOIN repo_blobs USING (digest) WHERE repository = ?", (place,)
    ).fetchone()
    return int(found)


def _missing(db: sqlite3.Connection, repository: str, new: NewManifest) -> list[Digest]:
    """What a manifest refers to and its repository does not have."""
    blobs = (
        "SELECT digest FROM repo_blobs WHERE repository = (SELECT id FROM repositories "
        "WHERE name = ?) AND digest IN (SELECT value FROM json_each(?))"
    )
    manifests = (
        "SELECT digest FROM repo_manifests WHERE repository = (SELECT id FROM repositories "
        "WHERE name = ?) AND digest IN (SELECT value FROM json_each(?))"
    )
    missing: list[Digest] = []
    for query, wanted in ((blobs, new.blobs), (manifests, new.manifests)):
        found = {row[0] for row in db.execute(query, (repository, json.dumps(list(wanted))))}
        missing += [each for each in wanted if each not in found]
    return missing

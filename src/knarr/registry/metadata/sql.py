"""The metadata of a registry in SQL that SQLite and PostgreSQL both understand.

What differs between them (connections, transactions, locks, the way to pass a list) is left to the
subclasses. Queries are written for SQLite: ``?`` for a value, ``json_each(?)`` for a list.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from knarr.errors import AlreadyExistsError, NotFoundError, ResourceExhaustedError
from knarr.oci.digest import Digest
from knarr.registry.metadata import ManifestRow, Referrer, TagRow, UploadRow

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable, Sequence

    from knarr.registry.metadata import NewManifest

    Values = Sequence[object]


class Result(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Transaction(Protocol):
    """A connection inside a transaction."""

    def execute(self, query: str, values: Values = ...) -> Result:
        """Run one statement."""

    def executemany(self, query: str, values: Iterable[Values]) -> object:
        """Run one statement for each of several rows."""


class SqlMetadata:
    """See ``Metadata``."""

    quick = False

    def _rows(self, query: str, values: Values = ()) -> list[Any]:
        """Read: all rows of a query."""
        raise NotImplementedError

    def _writing(self) -> contextlib.AbstractContextManager[Transaction]:
        """A transaction that is durable when the block has ended without an exception."""
        raise NotImplementedError

    def _lock_blob(self, db: Transaction, digest: Digest) -> None:
        """Let no other transaction publish, mount or drop this blob meanwhile."""

    def _lock_references(self, db: Transaction, *, alone: bool) -> None:
        """Let references be made by many at once, or, ``alone``, be looked at by one."""

    def _row(self, query: str, values: Values = ()) -> Any:
        rows = self._rows(query, values)
        return rows[0] if rows else None

    def _column(self, query: str, values: Values = ()) -> list[Any]:
        return [value for (value,) in self._rows(query, values)]

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
        with self._writing() as db:
            return bool(db.execute("DELETE FROM repositories WHERE name = ?", (name,)).rowcount)

    def rename_repository(self, name: str, new: str) -> None:
        """See ``Metadata``."""
        with self._writing() as db:
            if db.execute("SELECT 1 FROM repositories WHERE name = ?", (new,)).fetchone():
                raise AlreadyExistsError(f'repository "{new}" already exists')
            done = db.execute("UPDATE repositories SET name = ? WHERE name = ?", (new, name))
            if not done.rowcount:
                raise NotFoundError(f'repository "{name}" does not exist')

    def publish_blob(
        self, repository: str, digest: Digest, store: Callable[[], int], quota: int | None = None
    ) -> int:
        """See ``Metadata``."""
        now = time.time()
        with self._writing() as db:
            self._lock_blob(db, digest)
            size = store()
            place = _repository(db, repository, now)
            db.execute(
                "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (digest) "
                "DO UPDATE SET used = excluded.used",
                (digest, size, now),
            )
            _own(db, place, digest, now)
            if quota is not None and _size(db, place) > quota:
                raise ResourceExhaustedError(f"repository {repository} is full: {quota} bytes")
        return size

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """See ``Metadata``."""
        now = time.time()
        with self._writing() as db:
            self._lock_blob(db, digest)
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
        with self._writing() as db:
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
        with self._writing() as db:
            done = db.execute(
                "DELETE FROM repo_blobs WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, repository),
            )
            return bool(done.rowcount)

    def put_manifest(
        self, repository: str, new: NewManifest, tags: Iterable[str], *, is_whole: bool = True
    ) -> list[Digest]:
        """See ``Metadata``."""
        now, row = time.time(), new.row
        with self._writing() as db:
            self._lock_references(db, alone=False)
            if is_whole and (missing := _missing(db, repository, new)):
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
            db.executemany(
                "INSERT INTO manifest_refs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", references
            )
            db.execute(
                "INSERT INTO repo_manifests VALUES (?, ?, ?) ON CONFLICT (repository, digest) "
                "DO UPDATE SET used = excluded.used",
                (place, row.digest, now),
            )
            db.executemany(
                "INSERT INTO tags VALUES (?, ?, ?, ?) ON CONFLICT (repository, name) "
                "DO UPDATE SET digest = excluded.digest, changed = excluded.changed",
                [(place, name, row.digest, now) for name in tags],
            )
        return []

    def manifest(self, repository: str, digest: Digest) -> ManifestRow | None:
        """See ``Metadata``."""
        row = self._row(
            "SELECT digest, media_type, raw FROM manifests JOIN repo_manifests USING (digest) "
            "WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
            (digest, repository),
        )
        return ManifestRow(Digest(row[0]), row[1], row[2]) if row else None

    def has_manifest(self, repository: str, digest: Digest) -> bool:
        """See ``Metadata``."""
        return bool(
            self._column(
                "SELECT 1 FROM repo_manifests WHERE digest = ? "
                "AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, repository),
            )
        )

    def remove_manifest(self, repository: str, digest: Digest) -> list[str] | None:
        """See ``Metadata``."""
        at = (digest, repository)
        with self._writing() as db:
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
        rows = self._rows(
            "SELECT name, digest, changed FROM tags "
            "WHERE repository = (SELECT id FROM repositories WHERE name = ?)",
            (repository,),
        )
        return [TagRow(name, Digest(digest), changed) for name, digest, changed in rows]

    def put_tag(self, repository: str, name: str, digest: Digest) -> bool:
        """See ``Metadata``."""
        with self._writing() as db:
            done = db.execute(
                "INSERT INTO tags SELECT repository, ?, digest, ? FROM repo_manifests "
                "WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?) "
                "ON CONFLICT (repository, name) "
                "DO UPDATE SET digest = excluded.digest, changed = excluded.changed",
                (name, time.time(), digest, repository),
            )
            return bool(done.rowcount)

    def remove_tag(self, repository: str, name: str, changed: float | None = None) -> bool:
        """See ``Metadata``."""
        with self._writing() as db:
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
        rows = self._rows(
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
        with self._writing() as db:
            db.execute("INSERT INTO uploads VALUES (?, ?, ?)", upload)

    def upload(self, upload: str) -> UploadRow | None:
        """See ``Metadata``."""
        row = self._row("SELECT * FROM uploads WHERE id = ?", (upload,))
        return UploadRow(*row) if row else None

    def remove_upload(self, upload: str) -> None:
        """See ``Metadata``."""
        with self._writing() as db:
            db.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def uploads(self) -> list[UploadRow]:
        """See ``Metadata``."""
        return [UploadRow(*row) for row in self._rows("SELECT * FROM uploads")]

    def forget_unused(self, before: float) -> int:
        """See ``Metadata``."""
        with self._writing() as db:
            self._lock_references(db, alone=True)
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
        with self._writing() as db:
            self._lock_blob(db, digest)
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


def _repository(db: Transaction, name: str, now: float) -> int:
    """The id of a repository, which is made if it is not there."""
    db.execute(
        "INSERT INTO repositories (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, now)
    )
    (found,) = db.execute("SELECT id FROM repositories WHERE name = ?", (name,)).fetchone()
    return int(found)


def _own(db: Transaction, place: int, digest: Digest, now: float) -> None:
    db.execute(
        "INSERT INTO repo_blobs VALUES (?, ?, ?) ON CONFLICT (repository, digest) "
        "DO UPDATE SET used = excluded.used",
        (place, digest, now),
    )


def _size(db: Transaction, place: int) -> int:
    (found,) = db.execute(
        "SELECT sum(size) FROM blobs JOIN repo_blobs USING (digest) WHERE repository = ?", (place,)
    ).fetchone()
    return int(found)


def _missing(db: Transaction, repository: str, new: NewManifest) -> list[Digest]:
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
        rows = db.execute(query, (repository, json.dumps(list(wanted)))).fetchall()
        found = {digest for (digest,) in rows}
        missing += [each for each in wanted if each not in found]
    return missing

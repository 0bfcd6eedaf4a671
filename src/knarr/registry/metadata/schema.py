"""The tables, and the steps from one version of them to the next.

::

    repositories ──< tags >── manifests ──< manifest_refs   what a manifest needs
         │                        │
         ├──< repo_manifests >────┘
         └──< repo_blobs >── blobs                           bytes in the storage

A row of ``repo_blobs`` or ``repo_manifests`` is what makes content visible in a repository.
``used`` is when content was last pushed, mounted or asked for by a push: what is young is never
collected, because a push in flight may be about to refer to it.
"""

from __future__ import annotations

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE repositories (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL
        )""",
        """CREATE TABLE blobs (
            digest TEXT PRIMARY KEY, size INTEGER NOT NULL, used REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE repo_blobs (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES blobs(digest), used REAL NOT NULL,
            PRIMARY KEY (repository, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX repo_blobs_by_digest ON repo_blobs (digest)",
        """CREATE TABLE manifests (
            digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, raw BLOB NOT NULL, subject TEXT,
            artifact_type TEXT NOT NULL, annotations TEXT NOT NULL
        )""",
        "CREATE INDEX manifests_by_subject ON manifests (subject) WHERE subject IS NOT NULL",
        """CREATE TABLE manifest_refs (
            manifest TEXT NOT NULL REFERENCES manifests(digest) ON DELETE CASCADE,
            target TEXT NOT NULL, is_blob INTEGER NOT NULL,
            PRIMARY KEY (manifest, target, is_blob)
        ) WITHOUT ROWID""",
        "CREATE INDEX manifest_refs_by_target ON manifest_refs (target)",
        """CREATE TABLE repo_manifests (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES manifests(digest), used REAL NOT NULL,
            PRIMARY KEY (repository, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX repo_manifests_by_digest ON repo_manifests (digest)",
        """CREATE TABLE tags (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            name TEXT NOT NULL, digest TEXT NOT NULL, changed REAL NOT NULL,
            PRIMARY KEY (repository, name)
        ) WITHOUT ROWID""",
        "CREATE INDEX tags_by_digest ON tags (repository, digest)",
        """CREATE TABLE uploads (
            id TEXT PRIMARY KEY, repository TEXT NOT NULL, started REAL NOT NULL
        ) WITHOUT ROWID""",
    ),
)

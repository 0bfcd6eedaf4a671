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

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE repositories (
            id {serial} PRIMARY KEY, name TEXT NOT NULL UNIQUE, created {real} NOT NULL
        )""",
        """CREATE TABLE blobs (
            digest TEXT PRIMARY KEY, size BIGINT NOT NULL, used {real} NOT NULL
        )""",
        """CREATE TABLE repo_blobs (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES blobs(digest), used {real} NOT NULL,
            PRIMARY KEY (repository, digest)
        )""",
        "CREATE INDEX repo_blobs_by_digest ON repo_blobs (digest)",
        """CREATE TABLE manifests (
            digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, raw {bytes} NOT NULL, subject TEXT,
            artifact_type TEXT NOT NULL, annotations TEXT NOT NULL
        )""",
        "CREATE INDEX manifests_by_subject ON manifests (subject) WHERE subject IS NOT NULL",
        """CREATE TABLE manifest_refs (
            manifest TEXT NOT NULL REFERENCES manifests(digest) ON DELETE CASCADE,
            target TEXT NOT NULL, is_blob INTEGER NOT NULL,
            PRIMARY KEY (manifest, target, is_blob)
        )""",
        "CREATE INDEX manifest_refs_by_target ON manifest_refs (target)",
        """CREATE TABLE repo_manifests (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES manifests(digest), used {real} NOT NULL,
            PRIMARY KEY (repository, digest)
        )""",
        "CREATE INDEX repo_manifests_by_digest ON repo_manifests (digest)",
        """CREATE TABLE tags (
            repository INTEGER NOT NULL REFERENCES repositories(id) ON DELETE CASCADE,
            name TEXT NOT NULL, digest TEXT NOT NULL, changed {real} NOT NULL,
            PRIMARY KEY (repository, name)
        )""",
        "CREATE INDEX tags_by_digest ON tags (repository, digest)",
        """CREATE TABLE uploads (
            id TEXT PRIMARY KEY, repository TEXT NOT NULL, started {real} NOT NULL
        )""",
    ),
)


def steps(*, serial: str, bytes_: str, real: str) -> list[list[str]]:
    """The steps in the words of one database.

    ``serial`` is the type of a number that is given to each new row, ``real`` of one with at least
    15 digits, which holds a time.
    """
    words = {"serial": serial, "bytes": bytes_, "real": real}
    return [[statement.format(**words) for statement in step] for step in _STEPS]

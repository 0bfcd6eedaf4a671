"""What every database of a registry promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from knarr.errors import AlreadyExistsError, NotFoundError, ResourceExhaustedError
from knarr.oci.digest import Digest
from knarr.registry.metadata import ManifestRow, Metadata, NewManifest, UploadRow
from knarr.registry.metadata.postgres import PostgresMetadata
from knarr.registry.metadata.sqlite import SqliteMetadata
from support.postgres import Postgres

KIND = "application/vnd.oci.image.manifest.v1+json"


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def new(number: int, **more: object) -> NewManifest:
    raw = b'{"n":%d}' % number
    return NewManifest(ManifestRow(digest(number), KIND, raw), **more)  # type: ignore[arg-type]


def own(metadata: Metadata, repository: str, number: int, size: int = 10) -> None:
    assert metadata.publish_blob(repository, digest(number), lambda: size) == size


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres().start()
    yield server
    server.stop()


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs_peer("postgres"))]
)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    made: Metadata
    if request.param == "sqlite":
        made = SqliteMetadata(tmp_path / "registry.db")
    else:
        server = request.getfixturevalue("postgres")
        name = f"t{abs(hash(tmp_path))}"
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        made = PostgresMetadata(server.url.replace("/postgres?", f"/{name}?"))
    yield made
    made.close()


def test_a_repository_comes_with_its_first_content(metadata: Metadata) -> None:
    assert not metadata.has_repository("a/b")
    own(metadata, "a/b", 1)
    assert metadata.has_repository("a/b")
    assert metadata.remove_blob("a/b", digest(1))
    assert metadata.has_repository("a/b")
    assert metadata.delete_repository("a/b")
    assert not metadata.delete_repository("a/b")
    assert metadata.repositories("", 10) == []


def test_blobs_belong_to_repositories(metadata: Metadata) -> None:
    own(metadata, "a", 1)
    own(metadata, "a", 1)
    own(metadata, "b", 1)
    assert metadata.blob_size("a", digest(1)) == 10
    assert metadata.blob_size("c", digest(1)) is None
    assert metadata.repositories_with(digest(1), 10) == ["a", "b"]
    assert metadata.repositories_with(digest(1), 1) == ["a"]
    assert metadata.remove_blob("a", digest(1))
    assert not metadata.remove_blob("a", digest(1))
    assert metadata.blob_size("b", digest(1)) == 10


def test_manifests_and_tags(metadata: Metadata) -> None:
    metadata.put_manifest("a", new(1), ["latest", "1"])
    metadata.put_manifest("a", new(2), ["latest"])
    metadata.put_manifest("b", new(1), [])
    assert metadata.has_manifest("a", new(2).row.digest)
    assert not metadata.has_manifest("b", new(2).row.digest)
    assert not metadata.has_manifest("none", new(2).row.digest)
    assert metadata.tag("a", "latest") == digest(2)
    assert metadata.tag("a", "1") == digest(1)
    assert metadata.tag("b", "1") is None
    assert metadata.manifest("a", digest(1)) == new(1).row
    assert metadata.manifest("c", digest(1)) is None
    assert metadata.remove_manifest("a", digest(1)) == ["1"]
    assert metadata.remove_manifest("a", digest(1)) is None
    assert metadata.tag("a", "1") is None
    assert metadata.manifest("b", digest(1)) == new(1).row
    assert metadata.remove_tag("a", "latest")
    assert not metadata.remove_tag("a", "latest")
    assert metadata.manifest("a", digest(2)) == new(2).row


def test_mounting_takes_what_the_source_has(metadata: Metadata) -> None:
    own(metadata, "a", 1)
    assert metadata.mount_blob("b", digest(1), "a")
    assert metadata.blob_size("b", digest(1)) == 10
    for source, number in (("a", 2), ("none", 1)):
        assert not metadata.mount_blob("c", digest(number), source)
    assert not metadata.has_repository("c")


def test_a_manifest_needs_what_it_refers_to(metadata: Metadata) -> None:
    own(metadata, "a", 5)
    wanted = new(1, blobs=[digest(5), digest(6)], manifests=[digest(7)])
    assert metadata.put_manifest("a", wanted, ["x"]) == [digest(6), digest(7)]
    assert metadata.tag("a", "x") is None
    own(metadata, "a", 6)
    assert metadata.put_manifest("a", new(7), []) == []
    assert metadata.put_manifest("a", wanted, ["x"]) == []


def test_a_full_repository_takes_no_more(metadata: Metadata) -> None:
    own(metadata, "a", 1, 60)
    with pytest.raises(ResourceExhaustedError):
        metadata.publish_blob("a", digest(2), lambda: 50, quota=100)
    assert metadata.blob_size("a", digest(2)) is None
    assert metadata.publish_blob("a", digest(3), lambda: 40, quota=100) == 40
    assert metadata.repository_size("a") == 100
    assert metadata.repository_size("none") == 0


def test_what_failed_to_be_stored_is_not_recorded(metadata: Metadata) -> None:
    def store() -> int:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        metadata.publish_blob("a", digest(1), store)
    assert not metadata.has_repository("a")
    own(metadata, "a", 1)


def test_garbage_is_what_no_manifest_refers_to(metadata: Metadata) -> None:
    for number in (1, 2):
        own(metadata, "a", number)
        own(metadata, "b", number)
    metadata.put_manifest("a", new(9, blobs=[digest(1)]), ["x"])
    now, later = time.time(), time.time() + 100
    assert metadata.forget_unused(now - 100) == 0, "what is young stays"
    assert metadata.forget_unused(later) == 3
    assert metadata.blob_size("a", digest(1)) == 10
    assert metadata.unowned_blobs(now - 100, 10) == []
    assert metadata.unowned_blobs(later, 10) == [digest(2)]
    deleted: list[int] = []
    assert not metadata.drop_blob(digest(1), later, lambda: deleted.append(1))
    assert not metadata.drop_blob(digest(2), now - 100, lambda: deleted.append(2))
    assert metadata.drop_blob(digest(2), later, lambda: deleted.append(2))
    assert metadata.drop_blob(digest(3), later, lambda: deleted.append(3)), "never recorded"
    assert deleted == [2, 3]
    assert metadata.known_blobs([digest(1), digest(2)]) == {digest(1)}
    metadata.remove_manifest("a", digest(9))
    assert metadata.forget_unused(later) == 1


def test_what_a_push_asked_for_is_young_again(metadata: Metadata) -> None:
    own(metadata, "a", 1)
    own(metadata, "a", 2)
    time.sleep(0.02)
    before = time.time()
    metadata.touch_blobs("a", [digest(1)])
    assert metadata.forget_unused(before) == 1
    assert metadata.blob_size("a", digest(1)) == 10


def test_a_manifest_that_comes_again_is_the_same(metadata: Metadata) -> None:
    own(metadata, "a", 9)
    metadata.put_manifest("a", new(8), [])
    metadata.put_manifest("a", new(1, blobs=[digest(9)], manifests=[digest(8)]), ["x"])
    metadata.put_manifest("a", new(1, blobs=[digest(9)], manifests=[digest(8)]), ["y"])
    assert metadata.tags("a", "", 10) == ["x", "y"]


def test_pages_are_in_lexical_order(metadata: Metadata) -> None:
    names = ["Z", "a", "a-1", "b", "v1.10", "v1.9"]
    metadata.put_manifest("r", new(1), reversed(names))
    assert metadata.tags("r", "", 3) == names[:3]
    assert metadata.tags("r", "a-1", 10) == names[3:]
    assert metadata.tags("r", "zzz", 10) == []
    for name in ("c", "a", "b"):
        metadata.put_manifest(name, new(1), [])
    assert metadata.repositories("", 2) == ["a", "b"]
    assert metadata.repositories("b", 10) == ["c", "r"]


def test_referrers(metadata: Metadata) -> None:
    metadata.put_manifest("a", new(3, subject=digest(1), artifact_type="sig"), [])
    metadata.put_manifest("a", new(2, subject=digest(1), artifact_type="sbom"), [])
    metadata.put_manifest("b", new(4, subject=digest(1), artifact_type="sig"), [])
    assert [each.digest for each in metadata.referrers("a", digest(1), "")] == [
        digest(2),
        digest(3),
    ]
    (found,) = metadata.referrers("a", digest(1), "sig")
    assert (found.digest, found.size, found.artifact_type) == (digest(3), 7, "sig")
    metadata.remove_manifest("a", digest(3))
    assert metadata.referrers("a", digest(1), "sig") == []


def test_renaming(metadata: Metadata) -> None:
    metadata.put_manifest("a", new(1), ["x"])
    metadata.put_manifest("b", new(1), [])
    metadata.rename_repository("a", "c")
    assert metadata.tag("c", "x") == digest(1)
    with pytest.raises(AlreadyExistsError):
        metadata.rename_repository("c", "b")
    with pytest.raises(NotFoundError):
        metadata.rename_repository("a", "d")


def test_uploads(metadata: Metadata) -> None:
    row = UploadRow("id", "a", time.time())
    metadata.add_upload(row)
    assert metadata.upload("id") == row
    assert metadata.uploads() == [row]
    metadata.remove_upload("id")
    metadata.remove_upload("id")
    assert metadata.upload("id") is None


def test_it_is_all_there_when_it_is_opened_again(tmp_path: Path) -> None:
    first = SqliteMetadata(tmp_path / "db")
    first.put_manifest("a", new(1), ["x"])
    first.close()
    second = SqliteMetadata(tmp_path / "db")
    assert second.tag("a", "x") == digest(1)
    second.close()


def test_writers_in_many_threads_lose_nothing(metadata: Metadata) -> None:
    def write(number: int) -> None:
        for index in range(20):
            metadata.put_manifest("a", new(100 * number + index), [f"t-{number}-{index}"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(metadata.tags("a", "", 1000)) == 120

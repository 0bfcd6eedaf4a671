"""What every storage of a registry promises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import ConflictError, NotFoundError
from knarr.oci.digest import Digest
from knarr.registry.storage import Driver
from knarr.registry.storage.files import FileDriver
from knarr.registry.storage.s3 import S3Driver
from support.s3 import S3Server

ABSENT = Digest("sha256:" + "0" * 64)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3") / "log").start()
    yield server
    server.stop()


@pytest.fixture(params=["files", "s3"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    made: Driver
    if request.param == "s3":
        made = S3Driver(request.getfixturevalue("s3").bucket())
    else:
        made = FileDriver(tmp_path)
    yield made
    made.close()


def store(driver: Driver, content: bytes, name: str = "u", algorithm: str = "sha256") -> Digest:
    driver.start_upload(name)
    driver.append(name, 0, content)
    digest = digest_of(content, algorithm)
    assert driver.finish(name, digest) == len(content)
    return digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("content", [b"", b"x", b"abc" * 1_000_000], ids=["empty", "one", "large"])
def test_what_is_stored_can_be_read(driver: Driver, content: bytes, algorithm: str) -> None:
    digest = store(driver, content, algorithm=algorithm)
    assert driver.size(digest) == len(content)
    with driver.open(digest) as blob:
        assert blob.read() == content
    with driver.open(digest) as blob:
        blob.seek(len(content) // 2)
        assert blob.read() == content[len(content) // 2 :]
    assert [tuple(each) for each in driver.blobs()] == [(digest, len(content))]
    assert list(driver.uploads()) == []


def test_an_upload_grows_at_its_end_only(driver: Driver) -> None:
    driver.start_upload("u")
    assert driver.append("u", 0, b"first ") == 6
    assert driver.append("u", 6, b"second") == 12
    for wrong in (0, 5, 13):
        with pytest.raises(ConflictError):
            driver.append("u", wrong, b"x")
    driver.sync("u")
    assert driver.upload_size("u") == 12
    assert b"".join(driver.read_upload("u")) == b"first second"
    (seen,) = driver.uploads()
    assert (seen.id, seen.size) == ("u", 12)
    assert seen.changed > 0


def test_an_upload_is_no_blob_until_it_is_finished(driver: Driver) -> None:
    driver.start_upload("u")
    driver.append("u", 0, b"content")
    assert driver.size(digest_of(b"content")) is None
    assert list(driver.blobs()) == []


def test_unknown_things(driver: Driver) -> None:
    assert driver.size(ABSENT) is None
    driver.delete(ABSENT)
    driver.abort("nothing")
    for call in (
        lambda: driver.open(ABSENT),
        lambda: driver.append("nothing", 0, b"x"),
        lambda: driver.sync("nothing"),
        lambda: driver.upload_size("nothing"),
        lambda: list(driver.read_upload("nothing")),
        lambda: driver.finish("nothing", ABSENT),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_the_same_blob_twice_is_one(driver: Driver) -> None:
    first = store(driver, b"same", "one")
    with driver.open(first) as reading:
        assert store(driver, b"same", "two") == first
        assert reading.read() == b"same"
    assert len(list(driver.blobs())) == 1


def test_who_reads_reads_to_the_end(driver: Driver) -> None:
    digest = store(driver, b"abc" * 100_000)
    with driver.open(digest) as blob:
        assert blob.read(3) == b"abc"
        driver.delete(digest)
        assert driver.size(digest) is None
        rest = b"".join(iter(lambda: blob.read(1 << 16), b""))
    assert len(rest) == 299_997


def test_an_aborted_upload_leaves_nothing(driver: Driver) -> None:
    driver.start_upload("u")
    driver.append("u", 0, b"x" * 100)
    driver.abort("u")
    assert list(driver.uploads()) == []
    with pytest.raises(NotFoundError):
        driver.upload_size("u")


def test_any_part_of_a_blob(driver: Driver) -> None:
    content = bytes(range(256)) * 1000
    digest = store(driver, content)
    with driver.open(digest) as blob:
        assert blob.seek(250_000) == 250_000
        assert blob.read(100_000) == content[250_000:]
        assert blob.read(1) == b""
        blob.seek(5)
        assert blob.read(10) == content[5:15]
        assert blob.read(10) == content[15:25]


@pytest.mark.parametrize(
    "sizes",
    [(9 << 20,), (9 << 20, 9 << 20, 1), (1, 9 << 20), (100, 200), (6 << 20, 10, 20, 6 << 20)],
    ids=["one", "large", "small-first", "small", "mixed"],
)
def test_uploads_that_came_in_pieces(driver: Driver, sizes: tuple[int, ...]) -> None:
    driver.start_upload("u")
    content = b""
    for number, size in enumerate(sizes):
        piece = bytes([number + 65]) * size
        assert driver.append("u", len(content), piece) == len(content) + size
        driver.sync("u")
        content += piece
    assert driver.finish("u", digest_of(content)) == len(content)
    with driver.open(digest_of(content)) as blob:
        assert b"".join(iter(lambda: blob.read(1 << 20), b"")) == content
    assert list(driver.uploads()) == []

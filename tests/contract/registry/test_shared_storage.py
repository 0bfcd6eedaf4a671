"""What a storage promises to several servers that write to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from knarr.registry import names
from knarr.registry.config import Storage
from knarr.registry.storage.place import S3Place
from knarr.registry.storage.s3 import S3Driver
from support.s3 import S3Server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Place]:
    server = S3Server(tmp_path_factory.mktemp("s3") / "log").start()
    yield server.bucket()
    server.stop()


@pytest.fixture
def two(place: S3Place) -> Iterator[tuple[S3Driver, S3Driver]]:
    drivers = S3Driver(place), S3Driver(place)
    yield drivers
    for each in drivers:
        each.close()


def test_an_upload_goes_on_at_another_server(two: tuple[S3Driver, S3Driver]) -> None:
    one, other = two
    one.start_upload("moves")
    one.append("moves", 0, b"first ")
    assert one.upload_size("moves") == 6
    assert other.upload_size("moves") == 0, "what was not synced is not told elsewhere"
    one.sync("moves")
    assert other.upload_size("moves") == 6
    other.append("moves", 6, b"second ")
    other.sync("moves")
    with pytest.raises(ConflictError):
        one.append("moves", 6, b"again")
    assert one.upload_size("moves") == 13
    one.append("moves", 13, b"third")
    assert b"".join(one.read_upload("moves")) == b"first second third"
    assert one.finish("moves", names.of_bytes(b"first second third", "sha256")) == 18
    with other.open(names.of_bytes(b"first second third", "sha256")) as blob:
        assert blob.read() == b"first second third"
    with pytest.raises(NotFoundError):
        other.upload_size("moves")


def test_a_blob_is_what_was_hashed(two: tuple[S3Driver, S3Driver]) -> None:
    """Two servers write the same place of one upload: neither gets the bytes of the other."""
    one, other = two
    one.start_upload("both")
    assert other.upload_size("both") == 0
    one.append("both", 0, b"ones")
    other.append("both", 0, b"others")
    one.sync("both")
    other.sync("both")
    assert b"".join(one.read_upload("both")) == b"ones"
    one.finish("both", names.of_bytes(b"ones", "sha256"))
    with one.open(names.of_bytes(b"ones", "sha256")) as blob:
        assert blob.read() == b"ones"


def test_a_place_that_cannot_be(place: S3Place, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="there is no bucket"):
        S3Driver(place._replace(bucket="elsewhere"))
    with pytest.raises(InvalidArgumentError, match="invalid endpoint"):
        S3Driver(place._replace(endpoint="a b/c"))
    assert place.secret_key not in repr(place)
    with pytest.raises(InvalidArgumentError, match="an endpoint and a bucket"):
        Storage(driver="s3").place()
    with pytest.raises(InvalidArgumentError, match="cannot read"):
        Storage("s3", "h:1", "b", access_key="k", secret_key_file=f"{tmp_path}/none").place()

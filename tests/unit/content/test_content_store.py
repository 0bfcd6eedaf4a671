from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from knarr.content import BlobStore, VerifyingReader
from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError, ResourceExhaustedError
from knarr.oci import digest
from knarr.oci.digest import Digest

MISSING = Digest("sha256:" + "0" * 64)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "content"


@pytest.fixture
def store(root: Path) -> BlobStore:
    return BlobStore(root)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_what_is_committed_is_there(store, root):
    with store.ingest() as writer:
        writer.write(b"hello ")
        writer.write(memoryview(b"world"))
        name = writer.commit(11, digest.of_bytes(b"hello world"))
    assert store.read(name, 100) == b"hello world"
    assert store.info(name).size == 11
    assert store.all() == [store.info(name)]
    with store.open(name) as stream:
        assert stream.read() == b"hello world"
    assert files(root) == [f"blobs/sha256/{digest.hexdigest(name)}"]


@pytest.mark.parametrize(("size", "name"), [(4, None), (6, None), (None, MISSING), (5, MISSING)])
def test_what_does_not_verify_leaves_nothing(store, root, size, name):
    with store.ingest() as writer:
        writer.write(b"hello")
        with pytest.raises(DataLossError):
            writer.commit(size, name)
    assert files(root) == []


def test_leaving_without_commit_leaves_nothing(store, root):
    with store.ingest() as writer:
        writer.write(b"hello")
        assert len(files(root)) == 1
    assert files(root) == []


def test_an_existing_blob_is_a_success(store, root):
    first = store.put(b"x")
    with store.ingest() as writer:
        writer.write(b"x")
        assert writer.commit() == first
    assert store.put(b"x") == first
    assert len(files(root)) == 1


def test_the_limit_holds_while_writing(store, root):
    with store.ingest(limit=10) as writer:
        writer.write(b"x" * 10)
        with pytest.raises(InvalidArgumentError, match="larger than the 10 bytes"):
            writer.write(b"x")
    assert files(root) == []


def test_reads_are_checked_and_limited(store, root):
    name = store.put(b"hello")
    with pytest.raises(InvalidArgumentError):
        store.read(name, 4)
    (root / "blobs/sha256" / digest.hexdigest(name)).write_bytes(b"jello")
    with pytest.raises(DataLossError):
        store.read(name, 100)


def test_missing_blobs(store):
    assert store.find(MISSING) is None
    for action in (store.info, store.open, lambda name: store.read(name, 9)):
        with pytest.raises(NotFoundError):
            action(MISSING)
    store.delete(MISSING)


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "x", "sha512:" + "0" * 128, ""])
def test_no_name_leads_out(store, name):
    for action in (store.find, store.open, store.delete):
        with pytest.raises(InvalidArgumentError):
            action(Digest(name))


def test_recover_deletes_what_was_staged(store, root):
    name = store.put(b"kept")
    (root / "ingest/abc").write_bytes(b"half")
    assert store.recover() == 1
    assert files(root) == [f"blobs/sha256/{digest.hexdigest(name)}"]


def test_a_full_disk_is_told_as_such(store, root):
    """/dev/full answers every write as a full filesystem does."""
    with store.ingest() as writer:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._fd)
        os.close(full)
        with pytest.raises(ResourceExhaustedError, match="no space left on device"):
            writer.write(b"x")
    assert files(root) == []


def test_the_verifying_reader_checks_at_the_end():
    name = digest.of_bytes(b"hello")
    assert VerifyingReader(io.BytesIO(b"hello"), name, 5).read() == b"hello"
    reader = VerifyingReader(io.BytesIO(b"jello"), name)
    assert reader.read(5) == b"jello"
    with pytest.raises(DataLossError, match="damaged"):
        reader.read(5)
    with pytest.raises(DataLossError, match="4 bytes instead of 5"):
        VerifyingReader(io.BytesIO(b"hell"), name, 5).read()

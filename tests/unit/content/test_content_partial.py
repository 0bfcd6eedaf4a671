from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from knarr.content import BlobStore
from knarr.content.partial import LASTING_SECONDS
from knarr.errors import DataLossError, InvalidArgumentError
from knarr.oci import digest as digests

DATA = b"0123456789" * 1000
NAME = digests.of_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "content")


def staged(store: BlobStore, tmp_path: Path) -> list[Path]:
    return list((tmp_path / "content/ingest").iterdir())


def begun(store: BlobStore, count: int = 4000) -> None:
    partial = store.partial.open(NAME, len(DATA))
    assert partial is not None
    partial.write(DATA[:count])
    store.partial.release(partial, drop=False)


def continued(store: BlobStore, rest: bytes) -> bool:
    partial = store.partial.open(NAME, len(DATA))
    assert partial is not None
    with partial.replay() as stream:
        while data := stream.read(1000):
            partial.count(data)
    partial.write(rest)
    try:
        if not partial.matches():
            return False
        partial.complete()
        store.partial.publish([partial])
        store.partial.publish([partial])  # by another who wants it too
    finally:
        store.partial.release(partial, drop=True)
    return True


def test_it_goes_on_in_another_process(store, tmp_path):
    begun(store)
    assert store.find(NAME) is None
    again = BlobStore(tmp_path / "content")
    again.recover()
    assert continued(again, DATA[4000:])
    assert again.read(NAME, len(DATA)) == DATA
    assert staged(store, tmp_path) == []


def test_what_was_not_replayed_is_not_complete(store):
    begun(store)
    partial = store.partial.open(NAME, len(DATA))
    assert partial is not None
    partial.write(DATA[4000:])
    assert not partial.matches()
    with pytest.raises(DataLossError):
        partial.complete()
    store.partial.release(partial, drop=True)


def test_wrong_bytes_are_found(store):
    begun(store)
    assert not continued(store, bytes(len(DATA) - 4000))
    assert store.find(NAME) is None


def test_more_than_announced_is_refused(store):
    partial = store.partial.open(NAME, 10)
    assert partial is not None
    with pytest.raises(InvalidArgumentError, match="larger than the 10 bytes"):
        partial.write(bytes(11))
    store.partial.release(partial, drop=True)


def test_more_than_there_can_be_begins_again(store):
    begun(store)
    partial = store.partial.open(NAME, 100)
    assert partial is not None
    assert partial.size == 0
    store.partial.release(partial, drop=True)


def test_one_writes_at_a_time(store):
    partial = store.partial.open(NAME, len(DATA))
    assert partial is not None
    assert store.partial.open(NAME, len(DATA)) is None
    partial.write(b"0")
    assert store.partial.drop_all() == 0, "what is written is not dropped"
    store.partial.release(partial, drop=False)
    assert store.partial.drop_all() > 0
    assert staged_names(store) == []


def staged_names(store: BlobStore) -> list[str]:
    return [each.name for each in store._ingest.iterdir()]


def test_nothing_leaves_nothing(store):
    partial = store.partial.open(NAME, len(DATA))
    assert partial is not None
    store.partial.release(partial, drop=False)
    assert staged_names(store) == []


@pytest.mark.parametrize(
    ("age", "left"),
    [(60, 1), (LASTING_SECONDS + 60, 0), (-3600, 0)],
    ids=["fresh", "old", "from-the-future"],
)
def test_it_lasts_a_day(store, tmp_path, age, left):
    begun(store)
    moment = time.time() - age
    os.utime(staged(store, tmp_path)[0], (moment, moment))
    store.recover()
    assert len(staged_names(store)) == left

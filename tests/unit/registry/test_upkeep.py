"""Collecting garbage and retention, on real files and a real database with a clock of the test."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import InvalidArgumentError
from knarr.oci.digest import Digest
from knarr.registry.metadata.sqlite import SqliteMetadata
from knarr.registry.refusals import RefusedError
from knarr.registry.rules import Rules
from knarr.registry.storage.files import FileDriver
from knarr.registry.upkeep.collector import Collector
from knarr.registry.upkeep.retention import Retention, RetentionRule

KIND = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HOUR, DAY = 3600.0, 86400.0
NOW = time.time


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Rules]:
    made = Rules(FileDriver(tmp_path), SqliteMetadata(tmp_path / "db"), quota=quota)
    yield made
    made.metadata.close()


def quota(repository: str) -> int | None:
    return 100 if repository.startswith("small/") else None


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return NOW() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collector(rules: Rules, clock: Clock) -> Collector:
    return Collector(rules, grace=HOUR, upload_age=DAY, clock=clock)


def push(rules: Rules, repository: str, content: bytes) -> Digest:
    digest = Digest("sha256:" + hashlib.sha256(content).hexdigest())
    upload = rules.uploads.begin(repository)
    upload.append(content)
    rules.finish_upload(upload, digest)
    return digest


def image(rules: Rules, repository: str, tag: str, *layers: bytes, **more: object) -> Digest:
    entries = [{"digest": push(rules, repository, each), "size": len(each)} for each in layers]
    config = {"digest": push(rules, repository, b"{}"), "size": 2}
    document = {"schemaVersion": 2, "config": config, "layers": entries, **more}
    raw = json.dumps(document).encode()
    return rules.put_manifest(repository, tag, raw, KIND).digest


def stored(rules: Rules) -> set[Digest]:
    return {each.digest for each in rules.driver.blobs()}


def test_what_nothing_refers_to_goes_after_the_grace_period(
    rules: Rules, collector: Collector, clock: Clock
) -> None:
    image(rules, "a", "1", b"used")
    loose = push(rules, "a", b"loose")
    assert collector.run()[:2] == (0, 0)
    clock.ahead = 2 * HOUR
    done = collector.run()
    assert (done.forgotten, done.blobs, done.size) == (1, 1, 5)
    assert loose not in stored(rules)
    assert len(stored(rules)) == 2


def test_a_deleted_manifest_gives_its_blobs_back(
    rules: Rules, collector: Collector, clock: Clock
) -> None:
    digest = image(rules, "a", "1", b"only here", b"shared")
    image(rules, "b", "1", b"shared")
    rules.delete_manifest("a", digest)
    clock.ahead = 2 * HOUR
    assert collector.run().blobs == 1
    with pytest.raises(RefusedError):
        rules.blob_size("a", Digest("sha256:" + hashlib.sha256(b"shared").hexdigest()))
    assert len(stored(rules)) == 2


def test_a_blob_that_a_push_asked_for_stays(
    rules: Rules, collector: Collector, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push(rules, "a", b"found by a push")
    clock.ahead = 2 * HOUR
    monkeypatch.setattr("knarr.registry.metadata.sql.time.time", clock)
    rules.touch("a", digest)
    assert collector.run().blobs == 0
    assert rules.blob_size("a", digest) == 15


def test_bytes_that_nobody_recorded_go_when_they_were_seen_for_long(
    rules: Rules, collector: Collector, clock: Clock
) -> None:
    """A server that was killed between storing and recording leaves such."""
    rules.driver.start_upload("x")
    rules.driver.append("x", 0, b"stray")
    stray = Digest("sha256:" + hashlib.sha256(b"stray").hexdigest())
    rules.driver.finish("x", stray)
    assert collector.run().blobs == 0
    clock.ahead = HOUR / 2
    assert collector.run().blobs == 0
    clock.ahead = 1.5 * HOUR
    assert collector.run().blobs == 1
    assert stray not in stored(rules)


def test_a_stray_that_is_pushed_after_all_stays(
    rules: Rules, collector: Collector, clock: Clock
) -> None:
    rules.driver.start_upload("x")
    rules.driver.append("x", 0, b"late")
    digest = Digest("sha256:" + hashlib.sha256(b"late").hexdigest())
    rules.driver.finish("x", digest)
    collector.run()
    push(rules, "a", b"late")
    clock.ahead = 1.5 * HOUR
    rules.touch("a", digest)
    collector.run()
    assert rules.metadata.known_blobs([digest]) == ({digest} & stored(rules))


def test_uploads_that_nobody_goes_on_with(rules: Rules, collector: Collector, clock: Clock) -> None:
    old = rules.uploads.begin("a")
    old.append(b"x" * 10)
    clock.ahead = DAY / 2
    assert collector.run().uploads == 0
    clock.ahead = 2 * DAY
    assert collector.run().uploads == 1
    with pytest.raises(RefusedError):
        rules.uploads.get("a", old.id)
    assert list(rules.driver.uploads()) == []


def retain(rules: Rules, clock: Clock, **rule: object) -> tuple[int, int]:
    made = RetentionRule(repositories=["a/*"], **rule)  # type: ignore[arg-type]
    return tuple(Retention(rules.metadata, [made], clock).run())  # type: ignore[return-value]


def tags(rules: Rules, repository: str = "a/x") -> list[str]:
    return rules.metadata.tags(repository, "", 100)


def test_the_newest_tags_stay(rules: Rules, clock: Clock) -> None:
    for name in ("1", "2", "latest", "3", "4"):
        image(rules, "a/x", name, name.encode())
    image(rules, "b/x", "1", b"1")
    assert retain(rules, clock, newest=2, keep="latest") == (2, 0)
    assert tags(rules) == ["3", "4", "latest"]
    assert tags(rules, "b/x") == ["1"]


def test_old_tags_go_and_young_ones_stay(rules: Rules, clock: Clock) -> None:
    image(rules, "a/x", "1", b"1")
    assert retain(rules, clock, days=1) == (0, 0)
    clock.ahead = 2 * DAY
    assert retain(rules, clock, days=1, newest=1) == (0, 0)
    assert retain(rules, clock, days=1) == (1, 0)


def test_untagged_manifests_go_unless_something_leads_to_them(rules: Rules, clock: Clock) -> None:
    child = image(rules, "a/x", "child", b"1")
    entries = [{"mediaType": KIND, "digest": child, "size": 1}]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    rules.put_manifest("a/x", "index", json.dumps(index).encode(), INDEX)
    about = {"mediaType": KIND, "digest": child, "size": 1}
    signature = image(rules, "a/x", "signature", b"2", subject=about)
    loose = image(rules, "a/x", "loose", b"3")
    for tag in ("child", "signature", "loose"):
        rules.delete_manifest("a/x", tag)
    clock.ahead = 2 * DAY
    assert retain(rules, clock, untagged_days=1) == (0, 1)
    with pytest.raises(RefusedError):
        rules.manifest("a/x", loose)
    assert rules.manifest("a/x", signature)
    rules.delete_manifest("a/x", "index")
    gone = [retain(rules, clock, untagged_days=1)[1] for _ in range(4)]
    assert gone == [1, 1, 1, 0], "the index, what it had, what belonged to that"


def test_a_rule_without_limits_leaves_all(rules: Rules, clock: Clock) -> None:
    image(rules, "a/x", "1", b"1")
    clock.ahead = 1000 * DAY
    assert retain(rules, clock) == (0, 0)
    with pytest.raises(InvalidArgumentError, match="no regular expression"):
        retain(rules, clock, keep="(")


def test_quotas(rules: Rules) -> None:
    push(rules, "small/a", b"x" * 60)
    with pytest.raises(RefusedError, match="may have 100 bytes"):
        push(rules, "small/a", b"y" * 50)
    push(rules, "small/a", b"x" * 60)
    push(rules, "small/a", b"z" * 40)
    push(rules, "large", b"y" * 50)
    assert rules.metadata.repository_size("small/a") == 100
    assert list(rules.driver.uploads()) == []


def test_retag_rename_remove(rules: Rules) -> None:
    digest = image(rules, "a", "1", b"x")
    assert rules.retag("a", "1", "2") == digest
    with pytest.raises(RefusedError):
        rules.retag("a", "none", "3")
    rules.rename_repository("a", "b/c")
    assert rules.manifest("b/c", "2").digest == digest
    image(rules, "d", "1", b"x")
    with pytest.raises(RefusedError, match="exists"):
        rules.rename_repository("d", "b/c")
    rules.delete_repository("b/c")
    with pytest.raises(RefusedError):
        rules.tags("b/c", "", 1)

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING

import pytest
import zstandard

from knarr.errors import KnarrError, NotFoundError, ResourceExhaustedError, UnavailableError
from knarr.images import fetching
from knarr.images.pull import Order
from knarr.oci import platform as platforms
from knarr.oci import reference as references
from support.image_home import Home, config, layer, sha
from support.memory_registry import MemoryRegistry, noise
from support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.api.images import Progress
    from knarr.images.pull import Pulled

BASE = layer({"etc/os-release": b"base"})
TOP = layer({"app": b"top" * 1000})
NAME = "reg.example:5000/team/app"


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


class Client:
    """Somebody who pulls, and what he is told."""

    def __init__(self, home: Home, registry: MemoryRegistry) -> None:
        self.home = home
        self.registry = registry
        self.gone = threading.Event()
        self.told: list[Progress] = []
        self.result: Pulled | KnarrError | None = None

    def pull(self, name: str = f"{NAME}:1", platform: str = "linux/amd64") -> Pulled:
        parsed = references.parse_normalized(name)
        order = Order(
            parsed,
            self.registry.repository(parsed),
            lambda: self.registry.repository(parsed),
            platforms.parse(platform) if platform else None,
            self.told.append,
            self.gone,
        )
        return self.home.images.pull(order)

    def begin(self, name: str = f"{NAME}:1") -> threading.Thread:
        def work() -> None:
            try:
                self.result = self.pull(name)
            except KnarrError as error:
                self.result = error

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def lines(self) -> list[str]:
        return [f"{each.id}: {each.status}" if each.id else each.status for each in self.told]


@pytest.fixture
def client(home: Home, registry: MemoryRegistry) -> Client:
    return Client(home, registry)


def staged(home: Home) -> list[Path]:
    return list((home.root / "content/ingest").iterdir())


def test_an_image_comes_in_whole(home, registry, client):
    digest = registry.image(BASE, TOP, tag="1")
    pulled = client.pull()
    assert pulled == (sha(config(BASE, TOP)), digest, True)
    found = home.images.inspect(f"{NAME}:1")
    assert found.id == pulled.image_id
    assert found.repo_tags == [f"{NAME}:1"]
    assert found.repo_digests == [f"{NAME}@{digest}"]
    assert found.root_fs.layers == [sha(BASE), sha(TOP)]
    for name in registry.blobs:
        assert home.blobs.find(name) is not None
    assert staged(home) == []
    lines = client.lines()
    assert lines[0] == "1: Pulling from team/app"
    assert lines[-1] == f"Digest: {digest}"
    for each in (BASE, TOP):
        short = sha(gzip.compress(each, 1, mtime=0))[7:19]
        own = [line.partition(": ")[2] for line in lines if line.startswith(short)]
        assert [each for each in own if each not in ("Waiting", "Downloading")] == [
            "Pulling fs layer",
            "Verifying Checksum",
            "Download complete",
            "Extracting",
            "Pull complete",
        ]


def test_a_push_could_send_the_same_digest(home, registry, client):
    digest = registry.image(BASE, TOP, tag="1")
    client.pull()
    other = Home(home.root / "other")
    other.load(home.save(f"{NAME}:1"))
    assert other.blobs.read(digest, 1 << 20) == registry.manifests[digest][1]
    other.close()


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(None, id="plain"),
        pytest.param(zstandard.compress, id="zstd"),
    ],
)
def test_layers_of_other_kinds(home, registry, client, compress):
    registry.image(BASE, tag="1", compress=compress)
    client.pull()
    assert home.images.inspect(f"{NAME}:1").root_fs.layers == [sha(BASE)]
    assert staged(home) == []


def test_an_image_that_is_here_is_up_to_date(home, registry, client):
    registry.image(BASE, tag="1")
    client.pull()
    registry.served.clear()
    registry.asked.clear()
    again = Client(home, registry)
    assert not again.pull().is_new
    assert len(again.told) == 2
    assert registry.served == {}
    assert registry.asked == []


def test_a_tag_that_moved_leaves_the_old_image(home, registry, client):
    first = registry.image(BASE, tag="1")
    old = client.pull().image_id
    registry.image(BASE, TOP, tag="1")
    again = Client(home, registry)
    assert again.pull().is_new
    assert f"{sha(gzip.compress(BASE, 1, mtime=0))[7:19]}: Already exists" in again.lines()
    assert home.images.inspect(old).repo_digests == [f"{NAME}@{first}"]
    assert home.images.inspect(old).repo_tags == []
    assert home.images.inspect(f"{NAME}:1").id != old


def test_by_digest_there_is_no_tag(home, registry, client):
    digest = registry.image(BASE)
    assert client.pull(f"{NAME}@{digest}").is_new
    found = home.images.inspect(f"{NAME}@{digest}")
    assert (found.repo_tags, found.repo_digests) == ([], [f"{NAME}@{digest}"])
    assert client.told[0].id == f"{NAME}@{digest}"
    assert not Client(home, registry).pull(f"{NAME}@{digest}").is_new
    assert home.remove(f"{NAME}@{digest}")[:2] == [f"~{NAME}@{digest}", f"-{found.id}"]
    home.assert_empty()


def test_of_an_index_only_what_the_platform_needs(home, registry, client):
    ours = registry.image(BASE)
    other = registry.image(TOP, architecture="arm64")
    annotations = {"vnd.docker.reference.type": "attestation-manifest"}
    index = registry.index(
        [
            {"digest": other, "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": ours, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": sha(b"not there"), "annotations": annotations, "size": 1},
        ],
        "1",
    )
    assert client.pull().digest == index
    assert registry.asked == [index, ours]
    assert sha(gzip.compress(TOP, 1, mtime=0)) not in registry.served
    found = home.images.inspect(f"{NAME}:1")
    assert found.repo_digests == [f"{NAME}@{index}"]
    assert home.blobs.read(index, 1 << 20) == registry.manifests[index][1]

    second = Home(home.root / "second")
    second.load(home.save(f"{NAME}:1"))
    assert second.images.inspect(f"{NAME}:1").id == found.id
    assert second.blobs.find(index) is not None
    second.close()

    client.pull(platform="linux/arm64")
    assert home.images.inspect(f"{NAME}:1").architecture == "arm64"
    with pytest.raises(NotFoundError, match="no matching manifest for linux/s390x in the manifest"):
        client.pull(platform="linux/s390x")


def test_an_index_that_does_not_say_what_its_entries_run_on(home, registry, client):
    other = registry.image(TOP, architecture="arm64")
    ours = registry.image(BASE)
    registry.index([{"digest": other}, {"digest": ours}], "1")
    client.pull()
    assert home.images.inspect(f"{NAME}:1").root_fs.layers == [sha(BASE)]
    assert home.blobs.find(other) is None


def test_a_lone_manifest_of_another_platform_is_told(home, registry, client):
    registry.image(BASE, tag="1", architecture="s390x")
    client.pull()
    assert any(line.startswith("WARNING: image with reference") for line in client.lines())


def test_a_broken_download_goes_on_where_it_was(home, registry, client):
    big = noise(1)
    name = registry.image(big, tag="1")
    del name
    blob = sha(gzip.compress(big, 1, mtime=0))
    registry.break_at[blob] = 60_000
    with pytest.raises(UnavailableError, match="reset by peer"):
        client.pull()
    assert home.images.count() == 0
    assert [each.stat().st_size for each in staged(home)] == [60_000]
    home.close()
    again = Home(home.root)  # a new engine
    again.images.recover()
    registry.break_at.clear()
    Client(again, registry).pull()
    assert registry.served[blob] == len(registry.blobs[blob])
    assert staged(again) == []
    again.close()


def test_what_was_damaged_meanwhile_is_fetched_again(home, registry, client):
    big = noise(1)
    registry.image(big, tag="1")
    blob = sha(gzip.compress(big, 1, mtime=0))
    registry.break_at[blob] = 60_000
    with pytest.raises(UnavailableError):
        client.pull()
    staged(home)[0].write_bytes(bytes(60_000))
    registry.break_at.clear()
    client.pull()
    assert home.images.inspect(f"{NAME}:1").root_fs.layers == [sha(big)]


def test_prune_gives_back_what_waits(home, registry, client):
    registry.image(noise(1), tag="1")
    registry.break_at[next(iter(registry.blobs))] = 60_000
    with pytest.raises(UnavailableError):
        client.pull()
    assert home.images.prune({}, home.in_use).space_reclaimed >= 60_000
    home.assert_empty()


def test_finished_layers_of_a_broken_pull_are_not_fetched_again(home, registry, client):
    one, two = noise(1), noise(2)
    registry.image(one, two, tag="1")
    broken = sha(gzip.compress(two, 1, mtime=0))
    registry.break_at[broken] = 10
    with pytest.raises(UnavailableError):
        client.pull()
    # The first may have been broken off with the second: pull until it is complete.
    registry.break_at[broken] = 20
    with pytest.raises(UnavailableError):
        client.pull()
    registry.break_at.clear()
    client.pull()
    for each in (one, two):
        name = sha(gzip.compress(each, 1, mtime=0))
        assert registry.served[name] == len(registry.blobs[name])


def test_a_full_disk_keeps_nothing(home, registry, client, monkeypatch):
    registry.image(noise(1), noise(2), tag="1")
    ingest = home.layers.ingest

    def full(stream, *, expected):
        if expected == sha(noise(2)):
            while stream.read(1000):
                pass
            raise ResourceExhaustedError("no space left on device")
        return ingest(stream, expected=expected)

    monkeypatch.setattr(home.layers, "ingest", full)
    with pytest.raises(ResourceExhaustedError, match="no space left"):
        client.pull()
    home.assert_empty()


def test_what_came_before_a_refusal_waits(home, registry, client):
    registry.image(noise(1), tag="1")
    registry.break_at[sha(gzip.compress(noise(1), 1, mtime=0))] = 60_000
    registry.error = ResourceExhaustedError("toomanyrequests: slow down")
    with pytest.raises(ResourceExhaustedError, match="toomanyrequests"):
        client.pull()
    assert [each.stat().st_size for each in staged(home)] == [60_000]


def test_two_pulls_share_the_work(home, registry):
    shared, own = noise(1), noise(2)
    registry.image(shared, tag="1")
    registry.image(shared, own, tag="2")
    registry.hold = threading.Event()
    first, second, third = (Client(home, registry) for _ in range(3))
    threads = [first.begin()]
    assert registry.held.wait(20)
    threads += [second.begin(), third.begin(f"{NAME}:2")]
    blob = sha(gzip.compress(shared, 1, mtime=0))
    until(lambda: all(blob[7:19] in str(each.lines()) for each in (first, second, third)))
    registry.hold.set()
    for thread in threads:
        thread.join(20)
    assert [type(each.result).__name__ for each in (first, second, third)] == ["Pulled"] * 3
    assert registry.served[blob] == len(registry.blobs[blob])
    assert home.images.count() == 2
    assert staged(home) == []


def test_who_goes_away_cancels_unless_another_wants_the_same(home, registry):
    registry.image(noise(1), tag="1")
    registry.hold = threading.Event()
    first, second = Client(home, registry), Client(home, registry)
    threads = [first.begin()]
    assert registry.held.wait(20)
    threads.append(second.begin())
    until(lambda: len(second.told) > 1)
    first.gone.set()
    threads[0].join(20)
    assert isinstance(first.result, UnavailableError)
    assert home.images.count() == 0
    registry.hold.set()
    threads[1].join(20)
    assert home.images.count() == 1


def test_the_last_one_to_go_breaks_it_off(home, registry, client):
    registry.image(noise(1), tag="1")
    registry.hold = threading.Event()
    thread = client.begin()
    assert registry.held.wait(20)
    client.gone.set()
    thread.join(20)
    assert isinstance(client.result, UnavailableError)
    assert len(staged(home)) == 1
    assert home.layers.all() == []
    until(lambda: not [t for t in threading.enumerate() if t.name == "knarr-pull"])
    registry.hold = None
    client.gone.clear()
    client.pull()


def test_more_layers_than_threads(home, registry, client):
    layers = [layer({f"f{n}": b"x" * n}) for n in range(40)]
    registry.image(*layers, tag="1")
    client.pull()
    assert home.images.inspect(f"{NAME}:1").root_fs.layers == [sha(each) for each in layers]
    most = sum(1 for line in client.lines() if line.endswith(": Waiting"))
    assert most >= 1
    assert fetching.AT_ONCE < 40


def test_the_same_layer_twice(home, registry, client):
    registry.image(BASE, TOP, BASE, tag="1")
    client.pull()
    assert home.images.inspect(f"{NAME}:1").root_fs.layers == [sha(BASE), sha(TOP), sha(BASE)]

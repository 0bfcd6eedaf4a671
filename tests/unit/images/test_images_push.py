from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest

from knarr.api.images import Progress
from knarr.errors import NotFoundError, PermissionDeniedError, UnavailableError
from knarr.images.pull import Order as PullOrder
from knarr.images.push import AT_ONCE, Order
from knarr.oci import platform as platforms
from knarr.oci import reference as references
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_MANIFEST, Descriptor
from knarr.oci.digest import Digest
from support.image_home import Home, config, docker_archive, layer, oci_archive, sha
from support.memory_registry import MemoryRegistry, MemoryRepository

BASE = layer({"etc/os-release": b"base" * 500})
TOP = layer({"app": b"top" * 1000})
HOST = "reg.example:5000"
NAME = f"{HOST}/team/app"


class Target(MemoryRepository):
    """A repository that takes what is pushed; ``elsewhere`` are blobs of others, by path."""

    def __init__(self, name: references.Reference, registry: MemoryRegistry) -> None:
        super().__init__(name, registry)
        self.elsewhere: dict[str, set[str]] = {}
        self.sent: list[str] = []
        self.order: list[str] = []
        self.lock = threading.Lock()
        self.busy = 0
        self.most = 0
        self.refuse: set[str] = set()

    def has_blob(self, digest: Digest) -> int | None:
        data = self.registry.blobs.get(digest)
        return None if data is None else len(data)

    def mount_blob(self, digest: Digest, source_path: str) -> bool:
        found = digest in self.elsewhere.get(source_path, set())
        if found:
            self.registry.blobs[digest] = b"mounted"
        return found

    def push_blob(
        self,
        descriptor: Descriptor,
        open_at: Callable[[int], BinaryIO],
        progress: Callable[[int], None] = lambda sent: None,
    ) -> None:
        with self.lock:
            self.busy += 1
            self.most = max(self.most, self.busy)
        try:
            if descriptor.digest in self.refuse:
                raise PermissionDeniedError("denied: requested access to the resource is denied")
            with open_at(0) as stream:
                head = stream.read(10)
            with open_at(10) as stream:
                data = head + stream.read()
            assert (sha(data), len(data)) == (descriptor.digest, descriptor.size)
            progress(len(data))
        finally:
            with self.lock:
                self.busy -= 1
        with self.lock:
            self.registry.blobs[descriptor.digest] = data
            self.sent.append(descriptor.digest)

    def push_manifest(self, reference: str, raw: bytes, media_type: str) -> Digest:
        self.order.append(reference)
        document = json.loads(raw)
        for entry in [*document.get("layers", ()), *document.get("manifests", ())]:
            known = {**self.registry.blobs, **self.registry.manifests}
            assert entry["digest"] in known, "a manifest comes after what it names"
        self.registry.manifests[sha(raw)] = media_type, raw
        if ":" not in reference:
            self.registry.by_tag[reference] = sha(raw)
        return Digest(sha(raw))


class Client:
    """Somebody who pushes, and what he is told."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.registry = MemoryRegistry()
        self.told: list[Progress] = []
        self.gone = threading.Event()

    def target(self, name: str = f"{NAME}:1") -> Target:
        return Target(references.parse_normalized(name), self.registry)

    def push(
        self, name: str = f"{NAME}:1", target: Target | None = None, platform: str = ""
    ) -> Any:
        parsed = references.parse_normalized(name)
        wanted = platforms.parse(platform) if platform else None
        order = Order(parsed, target or self.target(name), wanted, self.told.append, self.gone)
        digest = self.home.images.push(order)
        return json.loads(self.registry.manifests[digest][1])

    def statuses(self, tar: bytes) -> list[str]:
        """What was told of a layer, without the numbers on the way."""
        every = [each.status for each in self.told if each.id == sha(tar)[7:19]]
        return list(dict.fromkeys(every))


@pytest.fixture
def client(home: Home) -> Client:
    return Client(home)


def load(home: Home, *layers: bytes, name: str = f"{NAME}:1") -> bytes:
    raw = config(*layers)
    home.load(docker_archive((raw, list(layers), [name])))
    return raw


def test_a_new_manifest_is_what_docker_writes(home: Home, client: Client) -> None:
    raw = load(home, BASE, TOP)
    target = client.target()
    document = client.push(target=target)
    assert document["mediaType"] == DOCKER_MANIFEST
    assert document["config"]["digest"] == sha(raw)
    assert client.registry.blobs[sha(raw)] == raw
    blobs = [client.registry.blobs[each["digest"]] for each in document["layers"]]
    assert [gzip.decompress(each) for each in blobs] == [BASE, TOP]
    assert all(blob[4:8] == bytes(4) for blob in blobs), "no time in the head"
    assert target.order == ["1"]
    assert target.sent[-1] == sha(raw), "the config comes after the layers"
    digest = client.registry.by_tag["1"]
    assert home.images.inspect(f"{NAME}:1").repo_digests == [f"{NAME}@{digest}"]
    assert client.statuses(TOP) == ["Preparing", "Pushing", "Pushed"]
    aux = client.told[-1].aux
    assert aux is not None
    assert (aux.tag, aux.digest) == ("1", digest)
    assert client.told[-2].status == f"1: digest: {digest} size: {aux.size}"


def test_the_same_layer_gives_the_same_bytes_everywhere(
    home: Home, client: Client, tmp_path: Any
) -> None:
    load(home, BASE)
    first = client.push()
    other = Home(tmp_path / "other")
    load(other, BASE)
    assert Client(other).push() == first
    other.close()


def test_what_was_compressed_is_kept_as_long_as_the_image(home: Home, client: Client) -> None:
    load(home, BASE)
    before = client.push()
    kept = {each.digest for each in home.blobs.all()}
    assert before["layers"][0]["digest"] in kept
    again = client.target(f"{NAME}:1")
    client.registry.blobs.clear()
    assert client.push(target=again) == before
    home.remove(f"{NAME}:1", force=True)
    assert not {each.digest for each in home.blobs.all()}


def test_a_layer_that_the_registry_has_is_not_sent(home: Home, client: Client) -> None:
    load(home, BASE, TOP)
    client.push()
    client.told.clear()
    target = client.target()
    client.push(target=target)
    assert target.sent == []
    assert client.statuses(BASE) == ["Preparing", "Layer already exists"]


def test_a_layer_twice_is_sent_once(home: Home, client: Client) -> None:
    load(home, TOP, BASE, TOP)
    target = client.target()
    document = client.push(target=target)
    assert len(document["layers"]) == 3
    assert document["layers"][0] == document["layers"][2]
    assert len(target.sent) == 3  # two layers and the config
    assert [each.id for each in client.told if each.status == "Preparing"][:2] == [
        sha(TOP)[7:19],
        sha(BASE)[7:19],
    ]


def test_layers_of_repositories_that_we_know_are_mounted(home: Home, client: Client) -> None:
    load(home, BASE, TOP, name=f"{HOST}/team/base:1")
    layers = client.push(f"{HOST}/team/base:1")["layers"]
    home.images.tag(f"{HOST}/team/base:1", NAME, "1")
    client.registry.blobs.clear()
    target = client.target()
    target.elsewhere["team/base"] = {layers[0]["digest"]}
    client.told.clear()
    client.push(target=target)
    assert client.statuses(BASE) == ["Preparing", "Mounted from team/base"]
    assert client.statuses(TOP) == ["Preparing", "Pushing", "Pushed"]


def test_a_child_goes_with_the_blobs_of_its_parent(home: Home, client: Client) -> None:
    home.load(oci_archive((config(BASE), [gzip.compress(BASE, 1)]), names=[f"{HOST}/base:1"]))
    load(home, BASE, TOP)
    document = client.push()
    assert document["layers"][0]["digest"] == sha(gzip.compress(BASE, 1))


def test_a_manifest_with_its_blobs_goes_as_it_came(home: Home, client: Client) -> None:
    registry = client.registry
    digest = registry.image(BASE, TOP, tag="1")
    parsed = references.parse_normalized(f"{NAME}:1")
    repository = registry.repository(parsed)
    order = PullOrder(
        parsed,
        repository,
        lambda: repository,
        platforms.parse("linux/amd64"),
        client.told.append,
        client.gone,
    )
    home.images.pull(order)
    home.images.tag(f"{NAME}:1", f"{HOST}/other", "x")
    other = Client(home)
    other.push(f"{HOST}/other:x")
    assert other.registry.by_tag == {"x": digest}
    assert other.registry.manifests[digest] == registry.manifests[digest]


def test_a_manifest_over_plain_tars_was_made_for_an_archive(home: Home, client: Client) -> None:
    home.load(oci_archive((config(BASE), [BASE]), names=[f"{NAME}:1"]))
    document = client.push()
    assert document["mediaType"] == DOCKER_MANIFEST
    assert gzip.decompress(client.registry.blobs[document["layers"][0]["digest"]]) == BASE


def test_plain_layers_that_were_pulled_stay_plain(home: Home, client: Client) -> None:
    digest = client.registry.image(BASE, tag="1", compress=None)
    parsed = references.parse_normalized(f"{NAME}:1")
    repository = client.registry.repository(parsed)
    order = PullOrder(parsed, repository, lambda: repository, None, client.told.append, client.gone)
    home.images.pull(order)
    home.images.tag(f"{NAME}:1", f"{HOST}/other", "x")
    other = Client(home)
    document = other.push(f"{HOST}/other:x")
    assert other.registry.by_tag == {"x": digest}
    assert document["mediaType"] == OCI_MANIFEST
    assert other.registry.blobs[sha(BASE)] == BASE


def test_not_more_than_some_at_once(home: Home, client: Client) -> None:
    layers = [layer({f"f{number}": b"x" * number}) for number in range(3 * AT_ONCE)]
    load(home, *layers)
    target = client.target()
    client.push(target=target)
    assert 1 <= target.most <= AT_ONCE
    assert sum(each.status == "Waiting" for each in client.told) == 2 * AT_ONCE


def test_a_refusal_ends_everything_and_leaves_nothing(home: Home, client: Client) -> None:
    load(home, BASE, TOP)
    before = {each.digest for each in home.blobs.all()}
    target = client.target()
    target.refuse = {each["digest"] for each in Client(home).push()["layers"][:1]}
    with pytest.raises(PermissionDeniedError, match="denied: requested access"):
        client.push(target=target)
    assert target.cancelled.is_set()
    assert target.order == []
    assert before <= {each.digest for each in home.blobs.all()}


def test_nobody_who_wants_it(home: Home, client: Client) -> None:
    load(home, BASE)
    before = home.blobs.all()
    client.gone.set()
    with pytest.raises(UnavailableError):
        client.push()
    assert home.blobs.all() == before
    assert client.registry.manifests == {}


def test_another_platform(home: Home, client: Client) -> None:
    load(home, BASE)
    with pytest.raises(NotFoundError, match=r"its platform \(linux/amd64\) does not match"):
        client.push(platform="linux/s390x")
    client.push(platform="linux/amd64")


def test_an_index_that_is_not_here_as_a_whole(home: Home, client: Client) -> None:
    registry = client.registry
    mine = registry.image(BASE)
    other = registry.image(TOP, architecture="s390x")
    entries = [
        {"digest": digest, "platform": each}
        for digest, each in zip((mine, other), INDEX_PLATFORMS, strict=True)
    ]
    index = registry.index(entries, "1")
    parsed = references.parse_normalized(f"{NAME}:1")
    repository = registry.repository(parsed)
    order = PullOrder(
        parsed,
        repository,
        lambda: repository,
        platforms.parse("linux/amd64"),
        client.told.append,
        client.gone,
    )
    home.images.pull(order)
    home.images.tag(f"{NAME}:1", f"{HOST}/other", "x")
    other_side = Client(home)
    other_side.push(f"{HOST}/other:x")
    assert other_side.registry.by_tag == {"x": mine}
    told = [each.aux for each in other_side.told if each.aux and each.aux.instead_of_index]
    assert len(told) == 1
    assert told[0].original_index is not None
    assert told[0].selected_manifest is not None
    assert told[0].original_index.digest == index
    assert told[0].selected_manifest.digest == mine
    assert other_side.told[-1].aux is not None
    assert other_side.told[-1].aux.tag == "x"


INDEX_PLATFORMS = [
    {"architecture": "amd64", "os": "linux"},
    {"architecture": "s390x", "os": "linux"},
]


def test_a_whole_index(home: Home, client: Client) -> None:
    small = [gzip.compress(each, 1) for each in (BASE, TOP)]
    home.load(
        oci_archive(
            (config(BASE), [small[0]]),
            (config(TOP, architecture="s390x"), [small[1]]),
            names=[f"{NAME}:1"],
            platforms=INDEX_PLATFORMS,
        ),
        platform="linux/amd64",
    )
    target = client.target()
    document = client.push(target=target)
    assert len(document["manifests"]) == 2
    assert target.order == [*(each["digest"] for each in document["manifests"]), "1"]
    one = client.push(platform="linux/s390x")
    assert one["layers"][0]["digest"] == sha(small[1])

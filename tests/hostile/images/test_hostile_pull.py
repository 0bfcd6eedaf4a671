"""Registries that lie: nothing of what they sent is kept, and the error says what was wrong."""

from __future__ import annotations

import gzip
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from knarr.errors import (
    InvalidArgumentError,
    KnarrError,
    ResourceExhaustedError,
    UnimplementedError,
)
from knarr.images import expansion, remote_documents
from knarr.images.pull import Order
from knarr.oci import reference as references
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from support.image_home import Home, config, layer, sha
from support.memory_registry import MemoryRegistry, noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = layer({"good": b"file"})
NAME = references.parse_normalized("reg.example/evil:1")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home")
    yield found
    found.close()


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


def pull(home: Home, registry: MemoryRegistry) -> None:
    home.images.pull(
        Order(
            NAME,
            registry.repository(NAME),
            lambda: registry.repository(NAME),
            None,
            lambda _: None,
            threading.Event(),
        )
    )


def refused(
    home: Home, registry: MemoryRegistry, words: str, kind: type[KnarrError] = KnarrError
) -> None:
    with pytest.raises(kind, match=words):
        pull(home, registry)
    home.assert_empty()
    assert [each for each in threading.enumerate() if each.name == "knarr-pull"] == []


def packed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def test_a_layer_with_other_bytes(home, registry):
    registry.image(GOOD, noise(1), tag="1")
    blob = sha(packed(noise(1)))
    registry.blobs[blob] = b"X" + registry.blobs[blob][1:]
    refused(home, registry, f"filesystem layer verification failed for digest {blob}")


def test_a_layer_with_another_last_byte(home, registry):
    registry.image(GOOD, tag="1")
    blob = sha(packed(GOOD))
    registry.blobs[blob] = registry.blobs[blob][:-1] + b"X"
    refused(home, registry, f"filesystem layer verification failed for digest {blob}")


@pytest.mark.parametrize("change", [-1, 1, 1 << 20], ids=["shorter", "longer", "much"])
def test_a_layer_of_another_size(home, registry, change):
    size = len(packed(GOOD)) + change
    registry.image(GOOD, tag="1", layer_fields={"size": size})
    refused(home, registry, "larger than|verification failed")


def test_a_layer_larger_than_the_disk(home, registry):
    registry.image(GOOD, tag="1", layer_fields={"size": 1 << 60})
    refused(home, registry, "no space left on device", ResourceExhaustedError)


def test_a_layer_that_is_another_than_the_config_says(home, registry):
    diff_ids = {"type": "layers", "diff_ids": [sha(b"else"), sha(GOOD)]}
    registry.image(GOOD, noise(1), tag="1", rootfs=diff_ids)
    refused(home, registry, "layer (verification failed|has diff_id)")


def test_a_layer_that_is_no_tar(home, registry):
    registry.image(b"no tar at all" * 100, tag="1")
    refused(home, registry, "tar")


def test_a_bomb(home, registry, monkeypatch):
    monkeypatch.setattr(expansion, "_FREE", 1 << 20)
    monkeypatch.setattr(expansion, "_MOST", 100)
    registry.image(layer({"zeros": bytes(8 << 20)}), tag="1")
    refused(home, registry, "expands to more than", ResourceExhaustedError)


def manifest(registry: MemoryRegistry, **fields: Any) -> None:
    raw = config(GOOD)
    registry.blob(raw)
    blob = registry.blob(packed(GOOD))
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": sha(raw), "size": len(raw)},
        "layers": [
            {"mediaType": OCI_LAYER + "+gzip", "digest": blob, "size": len(packed(GOOD))},
        ],
    }
    registry.put(document | fields, "1")


def entry(count: int) -> list[dict[str, Any]]:
    one = {"mediaType": OCI_LAYER, "digest": sha(b"x"), "size": 1}
    return [one] * count


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"layers": entry(10_000)}, "layers length mismatch", id="10000-layers"),
        pytest.param({"layers": entry(2)}, "layers length mismatch", id="more-layers"),
        pytest.param({"layers": []}, "layers length mismatch", id="no-layers"),
        pytest.param(
            {"layers": [{"mediaType": OCI_LAYER, "digest": "sha256:../../x", "size": 1}]},
            "digest",
            id="path-in-digest",
        ),
        pytest.param({"layers": [{"digest": sha(b"x"), "size": -1}]}, "invalid", id="negative"),
        pytest.param(
            {"config": {"mediaType": OCI_CONFIG, "digest": sha(b"x"), "size": 9 << 20}},
            "more than the",
            id="huge-config",
        ),
        pytest.param(
            {"config": {"mediaType": "application/x", "digest": sha(b"x"), "size": 3}},
            "unsupported media type application/x",
            id="artifact",
        ),
        pytest.param(
            {
                "mediaType": DOCKER_MANIFEST,
                "config": {"mediaType": "application/x", "digest": sha(b"x"), "size": 3},
            },
            r'Encountered remote "application/x"\(unknown\) when fetching',
            id="other-class",
        ),
        pytest.param({"manifests": []}, "both manifests and layers", id="two-kinds"),
    ],
)
def test_a_manifest_that_cannot_be_right(home, registry, fields, words):
    manifest(registry, **fields)
    refused(home, registry, words, InvalidArgumentError)
    assert sha(packed(GOOD)) not in registry.served


def test_too_many_layers_in_the_config_too(home, registry):
    diff_ids = {"type": "layers", "diff_ids": [sha(b"x")] * 10_000}
    raw = config(rootfs=diff_ids)
    registry.blob(raw)
    manifest(
        registry,
        config={"mediaType": OCI_CONFIG, "digest": sha(raw), "size": len(raw)},
        layers=entry(10_000),
    )
    refused(home, registry, "max depth exceeded")


def test_schema_1(home, registry):
    registry.put(
        {"schemaVersion": 1, "mediaType": OCI_MANIFEST, "fsLayers": [], "history": []}, "1"
    )
    refused(home, registry, "schema version 1 is not supported", UnimplementedError)


def test_a_config_with_other_bytes(home, registry):
    registry.image(GOOD, tag="1")
    name = sha(config(GOOD))
    registry.blobs[name] = registry.blobs[name].replace(b"amd64", b"arm64")
    refused(home, registry, "is damaged")


def test_a_config_that_never_ends(home, registry):
    registry.image(GOOD, tag="1")
    registry.blobs[sha(config(GOOD))] += b" " * 100_000
    refused(home, registry, "is damaged|more than")


def test_an_index_in_itself(home, registry):
    inner = registry.index([{"digest": registry.image(GOOD), "platform": PLATFORM}])
    for _ in range(6):
        inner = registry.index([{"digest": inner, "platform": PLATFORM}])
    registry.by_tag["1"] = inner
    refused(home, registry, "indexes in each other")


def test_an_index_that_makes_us_read_without_end(home, registry, monkeypatch):
    monkeypatch.setattr(remote_documents, "ALL_DOCUMENTS", 20_000)
    digests = [registry.image(GOOD, author=f"{number}" * 300) for number in range(100)]
    registry.index([{"digest": each} for each in digests], "1")
    refused(home, registry, "bytes of manifests and configs", InvalidArgumentError)


def test_an_index_that_says_another_size(home, registry):
    digest = registry.image(GOOD)
    registry.index([{"digest": digest, "platform": PLATFORM, "size": 1}], "1")
    refused(home, registry, "expected 1")


def test_a_manifest_other_than_asked_for(home, registry):
    digest = registry.image(GOOD)
    registry.index([{"digest": digest, "platform": PLATFORM}], "1")
    kind, raw = registry.manifests[digest]
    registry.manifests[digest] = kind, raw.replace(b'"schemaVersion": 2', b'"schemaVersion":  2')
    refused(home, registry, "verification failed")


def test_another_system(home, registry):
    registry.image(GOOD, tag="1", os="windows")
    refused(home, registry, 'operating system "windows" cannot be used')


def test_a_good_layer_beside_a_bad_one_is_not_kept(home, registry):
    registry.image(GOOD, b"bad" * 1000, tag="1")
    refused(home, registry, "tar")


def test_what_lies_harms_nobody_else(home, registry):
    """A blob is announced as another layer while somebody pulls it rightly."""
    good = registry.image(noise(1))
    lying = {"type": "layers", "diff_ids": [sha(b"else")]}
    registry.image(noise(1), tag="1", rootfs=lying)
    registry.hold = threading.Event()
    failed: list[KnarrError] = []

    def lie() -> None:
        try:
            pull(home, registry)
        except KnarrError as error:
            failed.append(error)

    thread = threading.Thread(target=lie, daemon=True)
    thread.start()
    assert registry.held.wait(20)
    registry.by_tag["good"] = good
    name = NAME.with_tag("good")
    told = threading.Event()
    order = Order(
        name,
        registry.repository(name),
        lambda: registry.repository(name),
        None,
        lambda message: told.set() if message.status == "Pulling fs layer" else None,
        threading.Event(),
    )
    other = threading.Thread(target=lambda: home.images.pull(order), daemon=True)
    other.start()
    assert told.wait(20)
    registry.hold.set()
    thread.join(20)
    other.join(20)
    assert len(failed) == 1
    assert home.images.inspect("reg.example/evil:good").root_fs.layers == [sha(noise(1))]
    assert home.images.count() == 1


PLATFORM = {"os": "linux", "architecture": json.loads(config())["architecture"]}

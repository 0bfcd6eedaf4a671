"""Manifests, indexes and configs: what is read, what is refused, and that bytes stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.oci import digest, image_config, manifest
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor
from knarr.oci.manifest import Index, Manifest

SHA = "sha256:" + "a" * 64
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": SHA, "size": 3}


def raw(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def test_a_manifest_keeps_its_bytes_and_unknown_fields_do_not_hurt():
    data = raw(mediaType=OCI_MANIFEST, config=CONFIG, layers=[CONFIG], new={"x": 1})
    found = manifest.parse(data)
    assert isinstance(found, Manifest)
    assert found.raw == data
    assert found.digest == digest.of_bytes(data)
    assert found.edges() == [(found.digest, SHA), (found.digest, SHA)]


def test_an_index_reads_platforms():
    entry = {
        "mediaType": OCI_MANIFEST,
        "digest": SHA,
        "size": 3,
        "platform": {"os": "linux", "architecture": "arm", "variant": "v6", "os.version": "1"},
    }
    found = manifest.parse(raw(manifests=[entry]))
    assert isinstance(found, Index)
    assert found.media_type == OCI_INDEX
    assert found.manifests[0].platform is not None
    assert found.manifests[0].platform.os_version == "1"
    assert str(found.manifests[0].platform) == "linux/arm/v6"


def test_dockers_manifest_is_read_too():
    found = manifest.parse(raw(config=CONFIG, layers=None), DOCKER_MANIFEST)
    assert isinstance(found, Manifest)
    assert found.media_type == DOCKER_MANIFEST
    assert found.layers == ()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", InvalidArgumentError),
        (b"{", InvalidArgumentError),
        (b"[]", InvalidArgumentError),
        (b"\xff", InvalidArgumentError),
        (b"[" * 100_000, InvalidArgumentError),
        (raw(), InvalidArgumentError),
        (raw(manifests=[], layers=[]), InvalidArgumentError),
        (raw(manifests=[], config=CONFIG), InvalidArgumentError),
        (raw(config=CONFIG | {"size": -1}), InvalidArgumentError),
        (raw(config=CONFIG | {"digest": 7}), InvalidArgumentError),
        (json.dumps({"schemaVersion": 3, "config": CONFIG}).encode(), InvalidArgumentError),
        (b'{"schemaVersion": 1, "fsLayers": []}', UnimplementedError),
        (raw(config=CONFIG) + b" " * manifest.LARGEST, InvalidArgumentError),
    ],
)
def test_bad_manifests_are_refused(data, error):
    with pytest.raises(error):
        manifest.parse(data)


def test_a_manifest_under_another_type_is_refused():
    with pytest.raises(InvalidArgumentError, match="was named as"):
        manifest.parse(raw(mediaType=OCI_MANIFEST, config=CONFIG), OCI_INDEX)


@pytest.mark.parametrize(
    ("data", "kind"),
    [(raw(config=CONFIG), OCI_INDEX), (raw(manifests=[]), OCI_MANIFEST)],
)
def test_a_document_that_is_not_of_its_type_is_refused(data, kind):
    with pytest.raises(InvalidArgumentError, match="is not of its type"):
        manifest.parse(data, kind)


def test_a_descriptor_cannot_name_a_path():
    entry = Descriptor(digest="sha256:../../x", size=1)
    with pytest.raises(InvalidArgumentError):
        entry.name()


def test_new_manifests_are_reproducible():
    config = Descriptor(media_type="c", digest=SHA, size=3)
    assert manifest.encode_manifest(config, ()) == manifest.encode_manifest(config, ())
    assert json.loads(manifest.encode_manifest(config, (config,)))["layers"] == [
        {"mediaType": "c", "digest": SHA, "size": 3}
    ]


def config(**fields: Any) -> bytes:
    return json.dumps({"os": "linux", "architecture": "amd64", **fields}).encode()


def test_a_config_keeps_its_bytes():
    data = config(rootfs={"type": "layers", "diff_ids": [SHA]}, config=None, history=None)
    found = image_config.parse(data)
    assert (found.raw, found.digest, found.diff_ids) == (data, digest.of_bytes(data), (SHA,))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (config(), "invalid image JSON, no RootFS key"),
        (config(rootfs={"type": "windows"}), "unknown rootfs type"),
        (config(rootfs={"type": "layers", "diff_ids": ["../x"]}), "invalid checksum digest"),
        (config(rootfs={"type": "layers", "diff_ids": [SHA] * 501}), "max depth exceeded"),
        (b"[]", "invalid image JSON"),
        (b'{"a":' * 100_000, "invalid image JSON"),
    ],
)
def test_bad_configs_are_refused(data, message):
    with pytest.raises(InvalidArgumentError, match=message):
        image_config.parse(data)


def test_missing_system_means_linux():
    found = image_config.parse(b'{"rootfs": {"type": "layers"}}')
    assert found.platform.os == "linux"

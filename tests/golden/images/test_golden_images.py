"""Bytes that must never change: ids of images that are made here, and the archives of ``save``.

A change of these values changes the id of every image that users make from the same input.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.images import Description
from knarr.oci import platform
from support.image_home import Home, Pipe, sha


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home")
    yield found
    found.close()


def root() -> bytes:
    """A fixed tar, made without the help of anything that may change."""
    info = tarfile.TarInfo("file")
    info.size = 5
    return info.tobuf(tarfile.USTAR_FORMAT) + b"hello".ljust(512, b"\0") + bytes(1024)


CONFIG = (
    b'{"created":"2023-11-14T22:13:20Z","architecture":"amd64","os":"linux",'
    b'"config":{"User":"app","ExposedPorts":{"80/tcp":{}},"Env":["A=1"],"Cmd":["/file"],'
    b'"WorkingDir":"/w","Labels":{"b":"2","a":"1"}},'
    b'"rootfs":{"type":"layers","diff_ids":["%s"]},'
    b'"history":[{"created":"2023-11-14T22:13:20Z","comment":"golden"}]}'
)


def make(home: Home) -> str:
    description = Description(
        changes=[
            'CMD ["/file"]', "ENV A=1", "LABEL b=2 a=1", "EXPOSE 80", "USER app", "WORKDIR /w",
        ],
        message="golden",
        platform=platform.parse("linux/amd64"),
        created_ns=1_700_000_000_000_000_000,
    )  # fmt: skip
    return home.images.import_(Pipe(root()), reference="golden:1", description=description)


def test_the_config_of_an_import(home):
    assert make(home) == sha(CONFIG % sha(root()).encode())
    assert home.images.resolve("golden:1").raw == CONFIG % sha(root()).encode()


def test_the_archive_of_a_save(home):
    image_id = make(home)
    data = home.save("golden:1")
    layer_id = sha(root())
    manifest = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        '"config":{"mediaType":"application/vnd.oci.image.config.v1+json",'
        f'"digest":"{image_id}","size":{len(CONFIG) - 2 + len(layer_id)}}},'
        '"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",'
        f'"digest":"{layer_id}","size":2048}}]}}'
    ).encode()
    index = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        '{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"digest":"{sha(manifest)}","size":{len(manifest)},"annotations":{{'
        '"io.containerd.image.name":"docker.io/library/golden:1",'
        '"org.opencontainers.image.ref.name":"1"}}]}'
    ).encode()
    paths = {each: f"blobs/sha256/{each[7:]}" for each in (image_id, layer_id)}
    expected = {
        **{
            f"blobs/sha256/{sha(each)[7:]}": each
            for each in sorted((home.images.resolve("golden:1").raw, root(), manifest), key=sha)
        },
        "index.json": index,
        "manifest.json": (
            f'[{{"Config":"{paths[image_id]}","RepoTags":["golden:1"],'
            f'"Layers":["{paths[layer_id]}"]}}]'
        ).encode(),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "repositories": f'{{"golden":{{"1":"{layer_id[7:]}"}}}}'.encode(),
    }
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = list(archive)
        assert [each.name for each in found] == ["blobs", "blobs/sha256", *expected]
        assert {(each.uid, each.gid, each.mtime, each.uname) for each in found} == {(0, 0, 0, "")}
        for each in found[2:]:
            assert archive.extractfile(each).read() == expected[each.name], each.name

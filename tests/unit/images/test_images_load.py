"""Loading: every form of archive, in every order, and what it leaves in the stores."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
from itertools import pairwise

import pytest
import zstandard

from knarr.errors import InvalidArgumentError, NotFoundError
from support.image_home import config, docker_archive, layer, oci_archive, put, sha, tar

A, B, C = layer({"a": b"a" * 3000}), layer({"b": b"b"}), layer({"c": b"c"})
EMPTY = bytes(1024)
COMPRESSORS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def ids(home) -> dict[str, list[str]]:
    return {image.id: image.repo_tags for image in home.images.list({})}


@pytest.mark.parametrize("outer", COMPRESSORS)
@pytest.mark.parametrize("inner", COMPRESSORS)
def test_docker_archives_in_any_compression(home, outer, inner):
    raw = config(A, B)
    data = docker_archive((raw, [COMPRESSORS[inner](each) for each in (A, B)], ["x:1"]))
    assert home.load(COMPRESSORS[outer](data)) == ["Loaded image: x:1"]
    image = home.images.resolve("x:1")
    assert image.id == sha(raw)
    assert image.layers == (sha(A), sha(B))
    with home.layers.open_tar(sha(A)) as stream:
        assert stream.read() == A
    assert [blob.digest for blob in home.blobs.all()] == [sha(raw)]


@pytest.mark.parametrize("inner", COMPRESSORS)
def test_oci_archives_keep_the_blobs_they_came_with(home, inner):
    blob = COMPRESSORS[inner](A)
    raw = config(A)
    assert home.load(oci_archive((raw, [blob]), names=["quay.io/x/y:z"])) == [
        "Loaded image: quay.io/x/y:z"
    ]
    kept = {each.digest for each in home.blobs.all()}
    assert (sha(blob) in kept) == (inner != "plain")
    assert len(kept) == (2 if inner == "plain" else 3)


def test_the_order_of_the_files_does_not_matter(home):
    raw = config(A, B)
    files = {
        "blobs/sha256/" + sha(raw)[7:]: raw,
        "one/layer.tar": A,
        "two/layer.tar": ("symlink", "../three/layer.tar"),
        "three/layer.tar": B,
        "manifest.json": json.dumps(
            [
                {
                    "Config": "blobs/sha256/" + sha(raw)[7:],
                    "RepoTags": ["x:1"],
                    "Layers": ["one/layer.tar", "two/layer.tar"],
                }
            ]
        ).encode(),
    }
    for seed in range(8):
        names = list(files)
        random.Random(seed).shuffle(names)
        home.load(tar({name: files[name] for name in names}))
        assert ids(home) == {sha(raw): ["x:1"]}
        home.remove("x:1")
        home.assert_empty()


def test_links_of_old_archives(home):
    raw = config(A, A, A)
    entry = {"Config": "c.json", "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}
    home.load(
        tar(
            {
                "1/layer.tar": A,
                "2/layer.tar": ("symlink", "../1/layer.tar"),
                "3/layer.tar": ("hardlink", "2/layer.tar"),
                "c.json": raw,
                "manifest.json": json.dumps([entry]).encode(),
            }
        )
    )
    assert home.images.resolve(sha(raw)).layers == (sha(A),) * 3


def test_several_images_share_layers(home):
    first, second = config(A, B), config(A, C)
    data = docker_archive((first, [A, B], ["x:1", "x:2"]), (second, [A, C], None))
    assert home.load(data) == [
        "Loaded image: x:1",
        "Loaded image: x:2",
        f"Loaded image ID: {sha(second)}",
    ]
    assert len(home.layers.all()) == 3


def test_a_name_that_moves_is_told(home):
    first, second = config(A), config(B)
    home.load(docker_archive((first, [A], ["x:1"])))
    assert home.load(docker_archive((second, [B], ["x:1"]))) == [
        f"The image x:1 already exists, renaming the old one with ID {sha(first)} to empty string",
        "Loaded image: x:1",
    ]
    assert ids(home) == {sha(first): [], sha(second): ["x:1"]}


def test_loading_again_changes_nothing_and_writes_no_layer_twice(home):
    raw = config(A)
    data = oci_archive((raw, [A]), names=["x:1"])
    home.load(data)
    before = sorted(home.blobs.all())
    count = home.layers.ingested
    assert home.load(data) == ["Loaded image: x:1"]
    assert sorted(home.blobs.all()) == before
    assert home.layers.ingested == count


def test_an_empty_layer_and_an_image_without_layers(home):
    raw, none = config(EMPTY), config()
    home.load(docker_archive((raw, [EMPTY], ["empty:1"]), (none, [], ["none:1"])))
    assert home.images.resolve("empty:1").layers == (sha(EMPTY),)
    assert home.images.resolve("none:1").layers == ()


def test_long_names_and_pax_headers_of_the_wrapper(home):
    raw = config(A)
    long = "d" * 120 + "/" + "e" * 120 + "/layer.tar"
    entry = {"Config": "./c.json", "RepoTags": ["x:1"], "Layers": [f"./{long}"]}
    files = {long: A, "c.json": raw, "manifest.json": json.dumps([entry]).encode()}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(
            fileobj=buffer, mode="w", format=form, pax_headers={"comment": "x"}
        ) as out:
            for name, data in files.items():
                info = tarfile.TarInfo("./" + name)
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
        assert home.load(buffer.getvalue()) == ["Loaded image: x:1"]


def platforms(*texts: str) -> list[dict[str, str]]:
    keys = ("os", "architecture", "variant")
    return [dict(zip(keys, text.split("/"), strict=False)) for text in texts]


def multi(home_arch: str = "amd64"):
    """An index of three platforms; returns the archive and the configs."""
    own = config(A, architecture=home_arch)
    arm = config(B, architecture="arm64")
    old = config(C, architecture="arm", variant="v6")
    blobs = [gzip.compress(each, mtime=0) for each in (A, B, C)]
    images = list(zip((own, arm, old), [[each] for each in blobs], strict=True))
    named = platforms("linux/" + home_arch, "linux/arm64", "linux/arm/v6")
    return oci_archive(*images, names=["x:1"], platforms=named), (own, arm, old)


def test_an_index_is_kept_whole_and_the_platform_chosen(home):
    data, (own, arm, _) = multi()
    home.load(data, platform="linux/amd64")
    assert ids(home) == {sha(own): ["x:1"]}
    # index, three manifests, three configs, three compressed layers
    assert len(home.blobs.all()) == 10
    assert home.layers.all() == [sha(A)]
    home.load(data, platform="linux/arm64/v8")
    assert ids(home) == {sha(own): [], sha(arm): ["x:1"]}
    home.remove("x:1")
    home.remove(sha(own))
    home.assert_empty()


@pytest.mark.parametrize("wanted", ["linux/s390x", "linux/arm/v5", "windows/amd64"])
def test_a_platform_that_is_not_there(home, wanted):
    data, _ = multi()
    with pytest.raises(NotFoundError, match="no matching manifest for"):
        home.load(data, platform=wanted)
    home.assert_empty()


def test_a_single_foreign_image_is_taken_unless_a_platform_was_asked_for(home):
    raw = config(A, architecture="s390x")
    data = oci_archive((raw, [A]), names=["x:1"])
    assert home.load(data) == ["Loaded image: x:1"]
    home.remove("x:1")
    with pytest.raises(NotFoundError):
        home.load(data, platform="linux/arm64")
    home.assert_empty()


def test_attestations_are_kept_but_never_chosen(home):
    raw = config(A)
    statement = b'{"_type": "https://in-toto.io/Statement/v0.1"}'
    note = config()
    files: dict[str, bytes] = {}
    parts = {}
    for name, settings, blob in (("image", raw, A), ("note", note, statement)):
        for each in (settings, blob):
            files[f"blobs/sha256/{sha(each)[7:]}"] = each
        document = {
            "schemaVersion": 2,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": sha(settings),
                "size": len(settings),
            },
            "layers": [{"mediaType": "x", "digest": sha(blob), "size": len(blob)}],
        }
        parts[name] = put(
            files, json.dumps(document).encode(), "application/vnd.oci.image.manifest.v1+json"
        )
    parts["note"]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    parts["note"]["platform"] = {"os": "unknown", "architecture": "unknown"}
    index = json.dumps({"schemaVersion": 2, "manifests": [parts["note"], parts["image"]]}).encode()
    top = put(files, index, "application/vnd.oci.image.index.v1+json")
    top["annotations"] = {"io.containerd.image.name": "docker.io/library/x:1"}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    assert home.load(tar(files)) == ["Loaded image: x:1"]
    assert ids(home) == {sha(raw): ["x:1"]}
    assert sha(statement) in {blob.digest for blob in home.blobs.all()}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("docker.io/library/x:1", "Loaded image: x:1"),
        ("x:1", "Loaded image: x:1"),
        ("localhost/x", "Loaded image: localhost/x:latest"),
        ("latest", None),
    ],
)
def test_names_of_layouts(home, name, line):
    raw = config(A)
    lines = home.load(oci_archive((raw, [A]), names=[name]))
    assert lines == [line or f"Loaded image ID: {sha(raw)}"]


def test_archives_of_docker_1_9(home):
    """Folders with VERSION, json and layer.tar, and ``repositories``; no manifest."""
    base, top = "1" * 64, "2" * 64
    files = {
        f"{base}/VERSION": b"1.0",
        f"{base}/json": json.dumps(
            {
                "id": base,
                "created": "2015-01-01T00:00:00Z",
                "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD"]},
            }
        ).encode(),
        f"{base}/layer.tar": A,
        f"{top}/VERSION": b"1.0",
        f"{top}/json": json.dumps(
            {
                "id": top,
                "parent": base,
                "created": "2015-01-02T00:00:00Z",
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["a<b"]},
                "Size": 5,
            }
        ).encode(),
        f"{top}/layer.tar": B,
        "repositories": json.dumps({"old": {"1": top}}).encode(),
    }
    assert home.load(tar(files)) == ["Loaded image: old:1"]
    image = home.images.resolve("old:1")
    assert image.layers == (sha(A), sha(B))
    assert image.config.cmd == ["a<b"]
    assert b'"Cmd":["a\\u003cb"]' in image.raw.replace(b" ", b"")
    assert [item.created_by for item in home.images.history("old:1")] == [
        "",
        "/bin/sh -c #(nop) ADD",
    ]
    document = json.loads(image.raw)
    assert list(document) == sorted(document)
    assert "parent" not in document


def test_progress_is_told_unless_quiet(home):
    raw = config(A)
    data = docker_archive((raw, [A], ["x:1"]))
    told = []
    home.load(data, progress=told.append)
    assert [(each.status, each.progress_detail.total) for each in told] == [
        ("Loading layer", len(A))
    ]
    home.load(data, progress=told.append, quiet=True)
    assert len(told) == 1


def test_progress_of_a_big_layer_grows(home):
    big = layer({"big": bytes(range(256)) * 65536})
    told = []
    home.load(docker_archive((config(big), [big], ["x:1"])), progress=told.append)
    seen = [each.progress_detail.current for each in told]
    assert len(seen) > 3
    assert all(before < after for before, after in pairwise(seen))
    assert seen[-1] == len(big)


def test_what_is_no_image_archive(home):
    with pytest.raises(InvalidArgumentError, match="no image archive"):
        home.load(layer({"bin/sh": b"x"}))
    home.assert_empty()


def test_an_image_of_another_system(home):
    raw = config(A, os="windows")
    with pytest.raises(InvalidArgumentError, match=r"^cannot load windows image on linux$"):
        home.load(docker_archive((raw, [A], ["x:1"])))
    home.assert_empty()

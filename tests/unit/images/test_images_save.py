"""Saving: what is in the archive, and that it comes back as it was."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError
from knarr.oci.digest import hexdigest
from support.image_home import Home, config, docker_archive, layer, oci_archive, sha

A, B, C = layer({"a": b"a" * 3000}), layer({"b": b"b"}), layer({"c": b"c"})


def files(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [each for each in archive if each.isreg()]
        names = [each.name for each in found]
        assert len(set(names)) == len(names)
        return {each.name: archive.extractfile(each).read() for each in found}


def documents(data: bytes):
    found = files(data)
    return json.loads(found["manifest.json"]), json.loads(found["index.json"]), found


@pytest.fixture
def loaded(home):
    home.load(docker_archive((config(A, B), [A, B], ["x:1", "x:2"]), (config(A), [A], ["y/z:3"])))
    return home


def test_the_form_of_the_archive(loaded):
    manifest, index, found = documents(loaded.save("x:1"))
    assert manifest == [
        {
            "Config": f"blobs/sha256/{sha(config(A, B))[7:]}",
            "RepoTags": ["x:1"],
            "Layers": [f"blobs/sha256/{sha(each)[7:]}" for each in (A, B)],
        }
    ]
    (entry,) = index["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/library/x:1",
        "org.opencontainers.image.ref.name": "1",
    }
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(found["repositories"]) == {"x": {"1": sha(B)[7:]}}
    for name, data in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{sha(data)[7:]}"


def test_the_same_images_give_the_same_bytes(loaded, tmp_path):
    first = loaded.save("x:1", "y/z:3")
    assert loaded.save("x:1", "y/z:3") == first
    other = Home(tmp_path / "other")
    other.load(first)
    assert other.save("x:1", "y/z:3") == first
    other.close()


def test_shared_layers_are_in_it_once(loaded):
    manifest, _, found = documents(loaded.save("x:1", "y/z:3", "x:2"))
    assert [entry["RepoTags"] for entry in manifest] == [["x:1", "x:2"], ["y/z:3"]]
    assert sum(data == A for data in found.values()) == 1


def test_a_name_without_tag_means_all_of_its_tags(loaded):
    manifest, index, _ = documents(loaded.save("x"))
    assert manifest[0]["RepoTags"] == ["x:1", "x:2"]
    assert len(index["manifests"]) == 2


def test_ids_carry_no_names(loaded):
    full = sha(config(A))
    for name in (full, hexdigest(full), hexdigest(full)[:12]):
        manifest, index, _ = documents(loaded.save(name))
        assert manifest[0]["RepoTags"] is None
        assert "annotations" not in index["manifests"][0]


def test_unknown_names_raise_before_the_first_chunk(loaded):
    with pytest.raises(NotFoundError, match=r"^No such image: nope:latest$"):
        loaded.images.save(["x:1", "nope"])


def test_an_image_goes_out_with_the_manifest_and_blobs_it_came_with(home, tmp_path):
    blob = gzip.compress(A)
    data = oci_archive((config(A), [blob]), names=["x:1"])
    home.load(data)
    _, index, found = documents(home.save("x:1"))
    came = json.loads(files(data)["index.json"])["manifests"][0]
    assert index["manifests"][0]["digest"] == came["digest"]
    assert found[f"blobs/sha256/{sha(blob)[7:]}"] == blob
    assert found.keys() == files(data).keys() | {"manifest.json", "repositories"}
    # By id, and under a new name, it is the same.
    home.images.tag("x:1", "other:2")
    for name in ("other:2", sha(config(A))):
        assert documents(home.save(name))[1]["manifests"][0]["digest"] == came["digest"]


def test_an_index_goes_out_whole_and_comes_back(home, tmp_path):
    own, arm = config(A), config(B, architecture="arm64")
    data = oci_archive(
        (own, [gzip.compress(A)]),
        (arm, [B]),
        names=["x:1"],
        platforms=[
            {"os": "linux", "architecture": "amd64"},
            {"os": "linux", "architecture": "arm64"},
        ],
    )
    home.load(data, platform="linux/amd64")
    saved = home.save("x:1")
    blobs = {name for name in files(data) if name.startswith("blobs/")}
    assert {name for name in files(saved) if name.startswith("blobs/")} == blobs
    other = Home(tmp_path / "other")
    other.load(saved, platform="linux/arm64")
    assert other.images.resolve("x:1").id == sha(arm)
    assert other.save("x:1") != saved  # manifest.json tells of the other platform
    assert {n for n in files(other.save("x:1")) if n.startswith("blobs/")} == blobs
    other.close()


def test_one_platform_of_an_index(home):
    own, arm = config(A), config(B, architecture="arm64")
    data = oci_archive(
        (own, [A]),
        (arm, [B]),
        names=["x:1"],
        platforms=[
            {"os": "linux", "architecture": "amd64"},
            {"os": "linux", "architecture": "arm64"},
        ],
    )
    home.load(data, platform="linux/amd64")
    manifest, index, found = documents(home.save("x:1", platform="linux/arm64"))
    assert manifest[0]["Config"] == f"blobs/sha256/{sha(arm)[7:]}"
    assert index["manifests"][0]["mediaType"].endswith("manifest.v1+json")
    assert A not in found.values()
    with pytest.raises(NotFoundError, match="does not match the specified platform"):
        home.images.save(["x:1"], "linux/s390x")


def test_a_platform_that_the_image_is_not_for(loaded):
    with pytest.raises(NotFoundError, match=r"its platform \(linux/amd64\) does not match"):
        loaded.images.save(["x:1"], "linux/arm64")
    assert loaded.save("x:1", platform="linux/amd64")
    with pytest.raises(InvalidArgumentError):
        loaded.images.save(["x:1"], "linux/arm64/v8/x")


def test_a_damaged_layer_is_found_out(loaded):
    path = loaded.layers.root / sha(A)[7:]
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataLossError, match="damaged"):
        loaded.save("x:1")


def test_a_removal_waits_for_the_archive(loaded):
    chunks = loaded.images.save(["y/z:3"])
    first = next(chunks)
    loaded.remove("y/z:3")
    loaded.remove("x:1")
    loaded.remove("x:2")
    data = first + b"".join(chunks)
    assert A in files(data).values()
    loaded.assert_empty()


def test_an_archive_that_is_given_up_holds_nothing(loaded):
    chunks = loaded.images.save(["x:1"])
    next(chunks)
    chunks.close()
    with loaded.db.reading() as connection:
        assert connection.execute("SELECT count(*) FROM leases").fetchone()[0] == 0

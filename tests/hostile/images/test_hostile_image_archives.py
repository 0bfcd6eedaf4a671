"""Archives that lie, bombard, point elsewhere or break off: refused, and nothing is left."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard

from knarr.errors import (
    DataLossError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    ResourceExhaustedError,
)
from knarr.images import expansion, intake, members
from support.image_home import Pipe, config, docker_archive, layer, oci_archive, put, sha, tar

A, B = layer({"a": b"a" * 3000}), layer({"b": b"b"})
RAW = config(A)


def refused(home, data: bytes, error=KnarrError, match: str | None = None) -> KnarrError:
    with pytest.raises(error, match=match) as caught:
        home.load(data)
    home.assert_empty()
    return caught.value


def manifest(**fields) -> bytes:
    entry = {"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}
    return json.dumps([entry | fields]).encode()


def archive(**files) -> bytes:
    base = {"c.json": RAW, "l.tar": A, "manifest.json": manifest()}
    return tar({name: data for name, data in (base | files).items() if data is not None})


def with_json(document: bytes) -> bytes:
    return archive(**{"manifest.json": document})


@pytest.mark.parametrize("size", [0, 1, 100, 511, 512, 700, 1024])
def test_too_short_to_be_anything(home, size):
    refused(home, archive()[:size], InvalidArgumentError)


def test_cut_off_anywhere(home):
    data = archive()
    whole = len(data.rstrip(b"\0")) // 512 * 512
    for size in range(512, whole, 512):
        refused(home, data[:size] if size % 1024 else data[: size + 7], InvalidArgumentError)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_cut_off_while_compressed(home, compress):
    data = compress(archive())
    for size in (20, len(data) // 2, len(data) - 1):
        refused(home, data[:size], InvalidArgumentError)


def test_a_layer_cut_off_while_compressed(home):
    blob = gzip.compress(A)[:-12]
    refused(home, oci_archive((RAW, [blob]), names=["x:1"]), InvalidArgumentError, "truncated")


def test_a_flipped_bit_in_a_compressed_layer(home):
    blob = bytearray(gzip.compress(A, mtime=0))
    blob[-6] ^= 1
    refused(home, oci_archive((RAW, [bytes(blob)]), names=["x:1"]), InvalidArgumentError)


def lying_blob(data: bytes, as_: bytes) -> bytes:
    """An OCI archive in which the file of one blob has the bytes of another."""
    good = oci_archive((RAW, [gzip.compress(A, mtime=0)]), names=["x:1"])
    with tarfile.open(fileobj=io.BytesIO(good)) as source:
        files = {each.name: source.extractfile(each).read() for each in source}
    name = f"blobs/sha256/{sha(as_)[7:]}"
    assert name in files
    return tar(files | {name: data})


def test_a_blob_that_is_not_what_its_name_says(home):
    compressed = gzip.compress(A, mtime=0)
    refused(home, lying_blob(gzip.compress(B), compressed), DataLossError, "has digest")
    refused(home, lying_blob(B, compressed), DataLossError)
    refused(home, lying_blob(config(B), RAW), DataLossError, "has digest")


def test_a_layer_that_is_not_the_one_of_the_config(home):
    error = refused(home, archive(**{"l.tar": B}), InvalidArgumentError)
    assert error.message == (f'invalid diffID for layer 0: expected "{sha(A)}", got "{sha(B)}"')
    compressed = gzip.compress(B)
    refused(home, oci_archive((RAW, [compressed])), InvalidArgumentError, "invalid diffID")


@pytest.mark.parametrize("layers", [[], ["l.tar", "l.tar"]])
def test_more_or_fewer_layers_than_the_config_says(home, layers):
    refused(home, with_json(manifest(Layers=layers)), InvalidArgumentError, "length mismatch")


@pytest.mark.parametrize("name", ["c.json", "l.tar"])
def test_missing_parts(home, name):
    refused(home, archive(**{name: None}), InvalidArgumentError, "is not in the archive")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "..", "", ".", "c.json/x"])
def test_paths_in_the_manifest_lead_nowhere(home, path):
    for fields in ({"Config": path}, {"Layers": [path]}):
        refused(home, with_json(manifest(**fields)), InvalidArgumentError, "not in the archive")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/cron.d/x", "..", "a/../..", "x/../../y"]
)
def test_file_names_that_lead_out(home, name):
    refused(home, archive(**{name: b"x" * 600}), InvalidArgumentError, "leads out")
    assert not (home.root.parent / "x").exists()


@pytest.mark.parametrize(
    "target", ["../../etc/passwd", "/etc/passwd", "../..", "../../home/knarr.db"]
)
def test_links_that_lead_out(home, target):
    data = archive(**{"l.tar": None, "d/l.tar": ("symlink", target)})
    refused(home, data, InvalidArgumentError, "leads out")


def test_links_in_a_circle(home):
    loop = {"l.tar": ("symlink", "m.tar"), "m.tar": ("symlink", "l.tar")}
    refused(home, archive(**loop), InvalidArgumentError, "circle")
    refused(home, archive(**{"l.tar": ("symlink", "l.tar")}), InvalidArgumentError, "circle")
    refused(home, archive(**{"l.tar": ("symlink", "nowhere")}), InvalidArgumentError)


def test_two_files_of_one_name(home):
    for name in ("manifest.json", "l.tar"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as out:
            again = (name, A if name == "l.tar" else b"[]")
            files = [("l.tar", A), ("c.json", RAW), ("manifest.json", manifest()), again]
            for each, data in files:
                info = tarfile.TarInfo(each)
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
        refused(home, buffer.getvalue(), InvalidArgumentError, "two files named")


@pytest.mark.parametrize(
    "document",
    [
        b"[",
        b"{}",
        b"[{}]",
        b"[1]",
        b'[{"Config": 1, "Layers": []}]',
        b'[{"Config": "c.json", "Layers": "l.tar"}]',
        b'[{"Config": "c.json", "Layers": [null]}]',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'[{"Config": "\xff", "Layers": []}]',
        b"[" + b'{"Config":"c.json"},' * 20_000 + b"null]",
    ],
)
def test_manifests_that_are_no_manifests(home, document):
    refused(home, with_json(document), InvalidArgumentError)


def test_a_manifest_with_a_duplicate_key_means_one_thing(home):
    """The last one counts, as in Go; there is no second reader that could see another."""
    document = manifest()[:-2] + b', "Layers": ["other.tar"]}]'
    refused(home, with_json(document), InvalidArgumentError, "other.tar")


@pytest.mark.parametrize("tag", ["X:1", "x", "x@" + sha(b""), "-", "a b", "x:1\n", "../x:1"])
def test_bad_names_in_the_manifest(home, tag):
    refused(home, with_json(manifest(RepoTags=[tag])), InvalidArgumentError)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        config(A, rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}),
        config(A, rootfs={"type": "layers", "diff_ids": [sha(A)[:20]]}),
        config(A, rootfs=[]),
        config(A, history=[1]),
        config(*[A] * 501),
    ],
)
def test_bad_configs(home, raw):
    refused(home, archive(**{"c.json": raw}), InvalidArgumentError)


@pytest.mark.parametrize("settings", ["x", {"Cmd": 5}, {"Env": {"a": "b"}}, {"User": []}])
def test_an_image_whose_configuration_cannot_be_read_is_refused(home, settings):
    data = archive(**{"c.json": config(A, config=settings)})
    refused(home, data, InvalidArgumentError)


def test_a_giant_document_stays_out_of_memory(home):
    """A JSON document of 300 MB in a stream of 300 KB: never more than a few pieces at once."""
    size = 300 << 20
    compressor = zlib.compressobj(wbits=31)
    info = tarfile.TarInfo("manifest.json")
    info.size = size
    data = compressor.compress(info.tobuf() + b"[")
    for _ in range(300):
        data += compressor.compress(b" " * (1 << 20))
    data += compressor.flush()
    tracemalloc.start()
    refused(home, data, InvalidArgumentError)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_many_documents_are_too_many(home, monkeypatch):
    monkeypatch.setattr(intake, "ALL_DOCUMENTS", 10_000)
    files = {f"{n}.json": b"[" + b" " * 900 for n in range(20)}
    refused(home, archive(**files), InvalidArgumentError, "bytes of documents")


def test_many_files_are_too_many(home, monkeypatch):
    monkeypatch.setattr(members, "MOST_MEMBERS", 50)
    files = {f"{n}.txt": b"x" for n in range(60)}
    refused(home, archive(**files), InvalidArgumentError, "more than 50 files")


def test_a_long_name_of_a_gigabyte(home):
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 30
    refused(home, info.tobuf() + bytes(4096), InvalidArgumentError, "extended tar header")


def test_a_file_of_a_size_that_cannot_be(home):
    info = tarfile.TarInfo("manifest.json")
    info.size = -5
    refused(home, info.tobuf(tarfile.GNU_FORMAT) + bytes(4096), InvalidArgumentError)
    info.size = (1 << 63) - 1
    refused(home, info.tobuf(tarfile.GNU_FORMAT) + bytes(4096), InvalidArgumentError)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S"])
def test_devices_and_other_strange_files(home, kind):
    info = tarfile.TarInfo("x")
    info.type = kind
    refused(home, info.tobuf() + archive(), InvalidArgumentError, "does not occur")


@pytest.mark.parametrize("levels", ["inner", "outer"])
def test_bombs_are_cut_off(home, monkeypatch, levels):
    monkeypatch.setattr(expansion, "_FREE", 1 << 20)
    monkeypatch.setattr(expansion, "_MOST", 100)
    big = layer({"zero": bytes(64 << 20)})
    if levels == "inner":
        data = archive(**{"l.tar": gzip.compress(big)})
    else:
        data = gzip.compress(archive(**{"l.tar": big}))
    assert len(data) < 1 << 20
    refused(home, data, ResourceExhaustedError, "expands to more than")


def test_an_import_bomb_is_cut_off(home, monkeypatch):
    monkeypatch.setattr(expansion, "_FREE", 1 << 20)
    monkeypatch.setattr(expansion, "_MOST", 100)
    data = gzip.compress(layer({"zero": bytes(64 << 20)}))
    with pytest.raises(ResourceExhaustedError):
        home.images.import_(Pipe(data), reference="x")
    home.assert_empty()


def layout(*tops: dict, files: dict[str, bytes] | None = None) -> bytes:
    index = json.dumps({"schemaVersion": 2, "manifests": list(tops)}).encode()
    return tar({**(files or {}), "index.json": index})


def test_layouts_that_name_what_is_not_there(home):
    entry = {"mediaType": "x", "digest": sha(b"nothing"), "size": 7}
    refused(home, layout(entry), InvalidArgumentError, "is not in the archive")
    refused(home, layout({**entry, "digest": "sha256:../../x"}), InvalidArgumentError)
    refused(home, layout({**entry, "digest": "sha512:" + "a" * 128}), InvalidArgumentError)


def test_sizes_that_do_not_match(home):
    files: dict[str, bytes] = {}
    top = put(files, b'{"schemaVersion": 2, "manifests": []}', "")
    refused(home, layout({**top, "size": 1}, files=files), DataLossError, "expected 1")


def test_an_index_without_anything_to_run(home):
    files: dict[str, bytes] = {}
    top = put(files, b'{"schemaVersion": 2, "manifests": []}', "")
    refused(home, layout(top, files=files), NotFoundError, "no matching manifest")


def test_indexes_in_each_other_end(home):
    files: dict[str, bytes] = {}
    kind = "application/vnd.oci.image.index.v1+json"
    entry = put(files, b'{"schemaVersion": 2, "manifests": []}', kind)
    for _ in range(10):
        document = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        entry = put(files, document, kind)
    refused(home, layout(entry, files=files), InvalidArgumentError, "indexes in each other")


def test_a_document_that_is_manifest_and_index(home):
    files: dict[str, bytes] = {}
    config_entry = put(files, RAW, "application/vnd.oci.image.config.v1+json")
    both = {"schemaVersion": 2, "config": config_entry, "layers": [], "manifests": []}
    top = put(files, json.dumps(both).encode(), "")
    refused(home, layout(top, files=files), InvalidArgumentError, "both manifests and layers")


def test_an_artifact_is_no_image(home):
    files: dict[str, bytes] = {}
    settings = put(files, b"{}", "application/vnd.oci.empty.v1+json")
    document = json.dumps({"schemaVersion": 2, "config": settings, "layers": []}).encode()
    top = put(files, document, "application/vnd.oci.image.manifest.v1+json")
    refused(home, layout(top, files=files), InvalidArgumentError, "is no image")


def test_a_blob_that_is_no_tar_cannot_be_a_layer(home):
    blob = b"not a tar at all" * 100
    raw = config(blob)
    refused(home, oci_archive((raw, [blob])), InvalidArgumentError, "is not a tar archive")
    packed = gzip.compress(blob)
    refused(home, oci_archive((raw, [packed])), InvalidArgumentError)


@pytest.mark.parametrize("parent", ["1" * 64, "2" * 64, "../x", "3" * 64])
def test_old_archives_whose_parents_do_not_end(home, parent):
    files = {
        f"{'1' * 64}/json": json.dumps({"parent": "2" * 64}).encode(),
        f"{'1' * 64}/layer.tar": A,
        f"{'2' * 64}/json": json.dumps({"parent": parent}).encode(),
        f"{'2' * 64}/layer.tar": B,
        "repositories": json.dumps({"x": {"1": "1" * 64}}).encode(),
    }
    refused(home, tar(files), InvalidArgumentError)


def test_a_good_image_beside_a_bad_one_is_not_loaded_either(home):
    bad = config(B)
    data = docker_archive((RAW, [A], ["good:1"]), (bad, [A], ["bad:1"]))
    refused(home, data, InvalidArgumentError)


def test_what_was_there_before_stays(home):
    home.load(docker_archive((RAW, [A], ["x:1"])))
    before = sorted(home.blobs.all()), home.layers.all()
    with pytest.raises(InvalidArgumentError):
        home.load(archive(**{"c.json": config(A, B)}))
    assert (sorted(home.blobs.all()), home.layers.all()) == before
    assert home.images.resolve("x:1").id == sha(RAW)


def test_nothing_is_written_beside_the_stores(home, tmp_path: Path):
    home.load(archive())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home"]

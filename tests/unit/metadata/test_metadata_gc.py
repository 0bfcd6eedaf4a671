"""Garbage collection: what is kept, what goes, and every order of events around it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import UnavailableError
from knarr.metadata import Content, NewImage, RefRow
from knarr.oci.digest import DiffID, Digest
from support.image_home import Home, layer


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home")
    yield found
    found.close()


def add_layer(home: Home, lease: str, name: str) -> DiffID:
    with home.images.collector.ingesting():
        info = home.layers.ingest(io.BytesIO(layer({name: b"x"})), expected=None)
        home.images.collector.keep(lease, layers=[info.diff_id])
    return info.diff_id


def add_blob(home: Home, lease: str, data: bytes) -> Digest:
    name = Digest("sha256:" + hashlib.sha256(data).hexdigest())
    home.images.collector.keep(lease, blobs=[name])
    return home.blobs.put(data)


def add_image(home: Home, *files: str, name: str = "", edges=()) -> Digest:
    """An image with one layer for each file."""
    with home.images.collector.lease("test") as lease:
        layers = tuple(add_layer(home, lease, each) for each in files)
        config = add_blob(home, lease, f"config of {files}".encode())
        blobs = {config: 1}
        for pair in edges:
            blobs.update(dict.fromkeys(pair, 1))
        home.db.images.record(
            [NewImage(config, layers, 0)],
            [RefRow(name, config, edges[0][0] if edges else None)] if name else [],
            Content(blobs, dict.fromkeys(layers, 1), edges),
        )
    return config


def test_a_lease_keeps_and_its_end_deletes(home):
    with home.images.collector.lease("test") as lease:
        diff_id = add_layer(home, lease, "a")
        blob = add_blob(home, lease, b"data")
        home.images.sweep()
        assert home.layers.find(diff_id)
        assert home.blobs.find(blob)
    home.assert_empty()


def test_a_failing_operation_leaves_nothing(home):
    def operation() -> None:
        with home.images.collector.lease("test") as lease:
            add_layer(home, lease, "a")
            raise UnavailableError("no")

    with pytest.raises(UnavailableError):
        operation()
    home.assert_empty()


def test_images_share_and_the_last_one_takes_along(home):
    first = add_image(home, "a", "b")
    second = add_image(home, "a", "c")
    home.db.images.remove([], [first])
    home.images.sweep()
    assert len(home.layers.all()) == 2
    home.db.images.remove([], [second])
    home.images.sweep()
    home.assert_empty()


def test_edges_keep_what_a_name_leads_to(home):
    with home.images.collector.lease("outer") as lease:
        index, inner, leaf = (add_blob(home, lease, each) for each in (b"i", b"m", b"l"))
        add_image(home, "a", name="docker.io/library/x:1", edges=[(index, inner), (inner, leaf)])
    assert {index, inner, leaf} <= {blob.digest for blob in home.blobs.all()}
    home.db.images.point([RefRow("docker.io/library/x:1", home.db.images.all()[0].id, None)])
    home.db.images.remove([], [])
    home.images.sweep()
    assert len(home.blobs.all()) == 1
    with home.db.reading() as connection:
        assert connection.execute("SELECT count(*) FROM edges").fetchone()[0] == 0


def test_a_digest_that_is_reached_keeps_the_layer_of_that_name(home):
    """A plain tar of another platform is kept as a layer only."""
    with home.images.collector.lease("outer") as lease:
        other = add_layer(home, lease, "other")
        manifest = add_blob(home, lease, b"m")
        add_image(home, "a", name="docker.io/library/x:1", edges=[(manifest, Digest(other))])
    assert home.layers.find(other)


def test_a_container_keeps_its_layers_after_the_image(home):
    image = add_image(home, "a")
    row = home.db.images.find(image)
    home.db.containers.insert("1" * 64, "one", image, row.layers, b"")
    home.db.images.remove([], [image])
    home.images.sweep()
    assert home.layers.all() == list(row.layers)
    assert home.blobs.all() == []
    home.db.containers.delete("1" * 64)
    home.images.sweep()
    home.assert_empty()


def test_nothing_is_deleted_while_something_is_written(home):
    image = add_image(home, "a")
    with home.images.collector.ingesting():
        home.db.images.remove([], [image])
        home.images.sweep()
        assert len(home.layers.all()) == 1
    home.assert_empty()


def test_doomed_content_can_be_saved(home):
    """rmi and load of the same image at once: the layer is doomed, then found to be there."""
    image = add_image(home, "a")
    (diff_id,) = home.db.images.find(image).layers
    home.db.images.remove([], [image])
    assert ("layer", diff_id) in home.db.leases.doomed()
    with home.images.collector.lease("load") as lease:
        home.images.collector.keep(lease, layers=[diff_id])
        home.images.sweep()
        assert home.layers.find(diff_id)
    home.assert_empty()


def test_an_interrupted_sweep_is_finished_by_the_next(home, monkeypatch):
    image = add_image(home, "a", "b")
    home.db.images.remove([], [image])

    def refuse(_: DiffID) -> None:
        raise UnavailableError("not now")

    monkeypatch.setattr(home.layers, "remove", refuse)
    home.images.sweep()
    assert len(home.layers.all()) == 2
    monkeypatch.undo()
    home.images.sweep()
    home.assert_empty()


def test_recover_deletes_all_that_is_not_needed(home):
    image = add_image(home, "a")
    lease = home.db.leases.acquire("killed")
    add_layer(home, lease, "b")
    add_blob(home, lease, b"leased")
    home.blobs.put(b"no row at all")
    home.layers.ingest(io.BytesIO(layer({"stray": b""})), expected=None)
    (home.root / "content/ingest/left").write_bytes(b"half")
    home.images.recover()
    assert home.layers.all() == list(home.db.images.find(image).layers)
    assert [blob.digest for blob in home.blobs.all()] == [image]
    home.db.images.remove([], [image])
    home.images.recover()
    home.assert_empty()


def test_recover_twice_is_the_same(home):
    add_image(home, "a")
    home.images.recover()
    before = home.layers.all(), home.blobs.all()
    home.images.recover()
    assert (home.layers.all(), home.blobs.all()) == before

from __future__ import annotations

import pytest

from knarr.errors import ConflictError, NotFoundError
from knarr.metadata import Content, NewImage, RefRow

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
NAME = "docker.io/library/x:1"


def record(db, image_id=A, layers=(B,), *names: str, parent=None):
    return db.images.record(
        [NewImage(image_id, tuple(layers), 5, (), parent)],
        [RefRow(name, image_id) for name in names],
        Content({image_id: 10}, dict.fromkeys(layers, 100)),
    )


def test_containers_come_back_as_they_were(db):
    record(db, A, (B, C))
    db.containers.insert("1" * 64, "one", A, (B, C), b"\x00record")
    db.containers.insert("2" * 64, "two", A, (), b"")
    first, second = db.containers.all()
    assert first == ("1" * 64, "one", A, (B, C), b"\x00record")
    assert second == ("2" * 64, "two", A, (), b"")


def test_a_taken_name_has_dockers_words(db):
    db.containers.insert("1" * 64, "one", A, (), b"")
    with pytest.raises(ConflictError) as caught:
        db.containers.insert("2" * 64, "one", A, (), b"")
    assert caught.value.message == (
        f'Conflict. The container name "/one" is already in use by container "{"1" * 64}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    db.containers.insert("2" * 64, "two", A, (), b"")
    with pytest.raises(ConflictError):
        db.containers.rename("2" * 64, "one")
    db.containers.rename("2" * 64, "two")
    db.containers.rename("2" * 64, "three", b"new")
    db.containers.delete("1" * 64)
    db.containers.rename("2" * 64, "one")
    assert [(row.name, row.record) for row in db.containers.all()] == [("one", b"new")]


def test_missing_containers(db):
    for durable in (True, False):
        with pytest.raises(NotFoundError):
            db.containers.update("9" * 64, b"", durable=durable)
    with pytest.raises(NotFoundError):
        db.containers.rename("9" * 64, "x")
    db.containers.delete("9" * 64)


def test_a_container_cannot_be_made_on_layers_that_went(db):
    with pytest.raises(NotFoundError, match="No such image"):
        db.containers.insert("1" * 64, "one", A, (B,), b"")
    assert db.containers.all() == []


def test_names_move_and_tell_from_where(db):
    assert record(db, A, (B,), NAME) == {}
    assert record(db, C, (B,), NAME) == {NAME: A}
    assert record(db, C, (B,), NAME) == {}
    assert db.images.find_name(NAME) == (NAME, C, None)
    assert [row.id for row in db.images.all()] == [A, C]
    assert db.images.find(A).tagged_ns is not None
    assert db.images.names(A) == []


def test_a_name_needs_an_image(db):
    with pytest.raises(NotFoundError):
        db.images.point([RefRow(NAME, A)])
    assert db.images.find_name(NAME) is None


def test_the_beginning_of_an_id(db):
    for image_id in (A, B):
        record(db, image_id, ())
    assert db.images.ids_beginning("sha256:a") == [A]
    assert db.images.ids_beginning("sha256:" + "a" * 64) == [A]
    assert db.images.ids_beginning("sha256:") == [A, B]
    assert db.images.ids_beginning("sha256:c") == []


def test_children_and_sizes(db):
    record(db, A, (B,))
    record(db, C, (B, A), parent=A)
    assert db.images.children(A) == [C]
    assert db.images.find(C).size == 200
    assert db.images.find(C).layers == (B, A)
    assert db.images.layer_sizes() == {A: 100, B: 100}


def test_volumes(db):
    assert db.volumes.insert("v", {"a": "b"}, {}, 7)
    assert not db.volumes.insert("v", {}, {}, 8)
    assert db.volumes.find("v") == ("v", {"a": "b"}, {}, 7)
    assert db.volumes.all() == [("v", {"a": "b"}, {}, 7)]
    db.volumes.delete("v")
    assert db.volumes.find("v") is None
    with pytest.raises(NotFoundError):
        db.volumes.delete("v")


def test_facts(db):
    assert db.facts.find("x") is None
    db.facts.put("x", "1")
    db.facts.put("x", "2")
    assert db.facts.find("x") == "2"

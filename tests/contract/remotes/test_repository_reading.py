"""What every ``Repository`` promises to those who read: over HTTP, and the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from knarr.errors import KnarrError, NotFoundError
from knarr.oci import reference as references
from knarr.oci.descriptor import Descriptor
from knarr.oci.digest import Digest
from knarr.remotes import Remotes, Repository
from support import registries
from support.image_home import sha
from support.memory_registry import MemoryRegistry
from support.registry_images import Pusher, large, small

BLOB = large(1, 300_000)


class Place(NamedTuple):
    """A repository with one image (by the tag ``1``) and ``BLOB``."""

    repository: Callable[[], Repository]
    digest: str


@pytest.fixture(params=["memory", "http"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        memory = MemoryRegistry()
        name = references.parse_normalized("reg.example/a/b")
        memory.blob(BLOB)
        yield Place(lambda: memory.repository(name), memory.image(small("x"), tag="1"))
        return
    remotes = Remotes()
    with registries.running("knarr", tmp_path / "registry") as host:
        pusher = Pusher(host, "a/b")
        pusher.blob(BLOB)
        name = references.parse_normalized(pusher.name)
        yield Place(lambda: remotes.repository(name), pusher.image("1", small("x")))
        remotes.close()


def descriptor(size: int = len(BLOB), digest: str | None = None) -> Descriptor:
    return Descriptor(media_type="x/y", digest=digest or sha(BLOB), size=size)


def test_a_tag_and_its_digest_are_the_same(place):
    by_tag = place.repository().resolve("1")
    assert by_tag.digest == place.digest
    assert place.repository().resolve(place.digest) == by_tag
    document = place.repository().manifest(place.digest)
    assert (document.digest, document.media_type) == (place.digest, by_tag.media_type)
    assert (sha(document.raw), len(document.raw)) == (place.digest, by_tag.size)
    assert document.view.raw == document.raw
    assert list(place.repository().tags()) == ["1"]


@pytest.mark.parametrize("offset", [0, 1, 200_000, len(BLOB) - 1])
def test_a_blob_from_anywhere(place, offset):
    with place.repository().open_blob(descriptor(), offset) as stream:
        data = b""
        while piece := stream.read(70_000):
            data += piece
        assert data == BLOB[offset:]
        assert stream.read(1) == b""


def test_a_blob_that_is_left_in_its_middle(place):
    repository = place.repository()
    with repository.open_blob(descriptor()) as stream:
        assert stream.read(10)
    with repository.open_blob(descriptor()) as stream:
        assert stream.read(10)


def test_what_is_not_there(place):
    with pytest.raises(NotFoundError, match="manifest unknown"):
        place.repository().resolve("none")
    with pytest.raises(NotFoundError, match="manifest unknown"):
        place.repository().manifest(Digest("sha256:" + "0" * 64))
    missing = descriptor(digest="sha256:" + "0" * 64)
    with pytest.raises(NotFoundError), place.repository().open_blob(missing) as stream:
        stream.read(1)


def test_cancelled_it_fails(place):
    repository = place.repository()
    with pytest.raises(KnarrError), repository.open_blob(descriptor()) as stream:  # noqa: PT012
        stream.read(10)
        repository.cancel()
        while stream.read(10_000):
            pass
        raise AssertionError("it was read to its end")

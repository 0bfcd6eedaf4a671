"""rmi and prune: Docker's rules, word for word (compared with dockerd 20.10 and 28)."""

from __future__ import annotations

import pytest

from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError
from knarr.images import ContainerUse
from knarr.metadata import Content, NewImage, RefRow
from knarr.oci import digest
from support.image_home import config, docker_archive, layer, sha

A, B, C = layer({"a": b"a"}), layer({"b": b"b"}), layer({"c": b"c"})
TWO, ONE = config(A, B), config(A)
TWO_ID, ONE_ID = sha(TWO), sha(ONE)
SHORT = TWO_ID[7:19]
CONTAINER = "c0ffee" * 10 + "0000"
CHAINS = digest.chain_ids([sha(A), sha(B)])


@pytest.fixture
def two(home):
    """``x:1`` and ``y:1`` name an image of two layers, ``z:1`` one of the lower layer alone."""
    home.load(docker_archive((TWO, [A, B], ["x:1", "y:1"]), (ONE, [A], ["z:1"])))
    return home


def conflict(home, name: str, *, force: bool = False) -> str:
    before = home.images.list({}, every=True)
    with pytest.raises(ConflictError) as caught:
        home.remove(name, force=force)
    assert home.images.list({}, every=True) == before
    return caught.value.message


def test_a_name_goes_and_with_the_last_one_the_image(two):
    assert two.remove("x:1") == ["~x:1"]
    assert two.remove("y:1") == ["~y:1", f"-{TWO_ID}", f"-{CHAINS[1]}"]
    assert two.layers.all() == [sha(A)]
    assert two.remove("z:1") == ["~z:1", f"-{ONE_ID}", f"-{CHAINS[0]}"]
    two.assert_empty()


def test_an_id_with_several_names_needs_force(two):
    said = f"conflict: unable to delete {SHORT} (must be forced) - "
    assert conflict(two, SHORT) == said + "image is referenced in multiple repositories"
    assert two.remove(SHORT, force=True) == [
        "~x:1", "~y:1", f"-{TWO_ID}", f"-{CHAINS[1]}",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [ONE_ID, ONE_ID[7:], ONE_ID[7:19], ONE_ID[:20], ONE_ID[7:10]])
def test_an_id_in_every_length(two, name):
    assert two.remove(name) == ["~z:1", f"-{ONE_ID}"]


def test_two_tags_of_one_repository_need_force_too(two):
    two.images.tag("z:1", "z:2")
    assert "must be forced" in conflict(two, ONE_ID)


def test_a_tag_with_its_digests_is_a_single_name(two):
    add_digest(two, "docker.io/library/z")
    assert two.remove(ONE_ID[7:19])[:2] == ["~z:1", f"~z@{ONE_ID}"]


def test_digests_go_with_the_last_tag_of_their_repository(two):
    add_digest(two, "docker.io/library/z")
    two.images.tag("z:1", "z:2")
    assert two.remove("z:1") == ["~z:1"]
    assert two.remove("z:2") == ["~z:2", f"~z@{ONE_ID}", f"-{ONE_ID}"]


def test_a_digest_of_another_repository_keeps_the_image(two):
    add_digest(two, "docker.io/library/other")
    assert two.remove("z:1") == ["~z:1"]
    assert two.remove(f"other@{ONE_ID}") == [f"~other@{ONE_ID}", f"-{ONE_ID}"]


def add_digest(home, repository: str) -> None:
    name = f"{repository}@{ONE_ID}"
    home.db.images.record([], [RefRow(name, ONE_ID)], Content({}, {}))


def test_a_stopped_container_stands_in_the_way_of_the_last_name(two):
    two.users[ONE_ID] = [ContainerUse(CONTAINER, running=False)]
    assert conflict(two, "z:1") == (
        'conflict: unable to remove repository reference "z:1" (must force) - container '
        f"c0ffeec0ffee is using its referenced image {ONE_ID[7:19]}"
    )
    assert conflict(two, ONE_ID) == (
        f"conflict: unable to delete {ONE_ID[7:19]} (must be forced) - "
        "image is being used by stopped container c0ffeec0ffee"
    )
    assert two.remove("z:1", force=True) == ["~z:1", f"-{ONE_ID}"]


def test_a_running_container_cannot_be_forced(two):
    two.users[ONE_ID] = [ContainerUse(CONTAINER, running=True)]
    assert "(must force)" in conflict(two, "z:1")
    said = (
        f"conflict: unable to delete {ONE_ID[7:19]} (cannot be forced) - "
        "image is being used by running container c0ffeec0ffee"
    )
    assert conflict(two, ONE_ID, force=True) == said
    assert conflict(two, "z:1", force=True) == said


def test_one_of_several_names_goes_though_it_is_used(two):
    two.users[TWO_ID] = [ContainerUse(CONTAINER, running=True)]
    assert two.remove("x:1") == ["~x:1"]


def child(home, *, parent: str, name: str = "") -> str:
    """An image of three layers on top of ``parent``, as commit makes one."""
    raw = config(A, B, C)
    with home.images.collector.lease("test") as lease:
        home.images.collector.keep(lease, blobs=[sha(raw)])
        home.blobs.put(raw)
        home.db.images.record(
            [NewImage(sha(raw), (sha(A), sha(B), sha(C)), 0, (), parent)],
            [RefRow(name, sha(raw))] if name else [],
            Content({sha(raw): len(raw)}, {}),
        )
    return sha(raw)


def test_a_parent_stays_as_long_as_its_child(two):
    child(two, parent=TWO_ID, name="docker.io/library/c:1")
    assert conflict(two, SHORT, force=True) == (
        f"conflict: unable to delete {SHORT} (cannot be forced) - image has dependent child images"
    )


def test_parents_without_names_go_with_their_child(two):
    image = child(two, parent=TWO_ID)
    two.remove("x:1")
    two.db.images.remove(["docker.io/library/y:1"], [])
    deleted = two.remove(image)
    assert deleted[0] == f"-{image}"
    assert f"-{TWO_ID}" in deleted
    assert [each.id for each in two.images.list({}, every=True)] == [ONE_ID]


def test_hidden_parents_are_listed_only_with_all(two):
    image = child(two, parent=TWO_ID, name="docker.io/library/c:1")
    two.db.images.remove(["docker.io/library/x:1", "docker.io/library/y:1"], [])
    shown = {each.id for each in two.images.list({})}
    assert shown == {image, ONE_ID}
    assert {each.id for each in two.images.list({}, every=True)} == {image, ONE_ID, TWO_ID}
    assert [item.id for item in two.images.history("c:1")] == [image, TWO_ID, "<missing>"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nope", NotFoundError, "No such image: nope:latest"),
        ("nope:1", NotFoundError, "No such image: nope:1"),
        ("a" * 64, NotFoundError, f"No such image: sha256:{'a' * 64}"),
        ("sha256:" + "a" * 64, NotFoundError, f"No such image: sha256:{'a' * 64}"),
        ("deadbeef", NotFoundError, "No such image: deadbeef:latest"),
        ("a b", InvalidArgumentError, "invalid reference format"),
    ],
)
def test_unknown_images(two, name, error, message):
    with pytest.raises(error) as caught:
        two.remove(name)
    assert caught.value.message == message


def pruned(home, **filters: list[str]):
    result = home.images.prune(filters, home.in_use)
    deleted = [item.deleted for item in result.images_deleted or [] if item.deleted]
    return deleted, result.space_reclaimed


def test_prune_takes_what_has_no_name(two):
    assert pruned(two) == ([], 0)
    two.db.images.remove(["docker.io/library/x:1", "docker.io/library/y:1"], [])
    assert pruned(two) == ([TWO_ID, CHAINS[1]], len(B))
    assert [each.id for each in two.images.list({})] == [ONE_ID]


def test_prune_all_spares_what_is_used(two):
    two.users[TWO_ID] = [ContainerUse(CONTAINER, running=False)]
    two.images.tag("x:1", "x:2")
    assert pruned(two, dangling=["false"]) == ([ONE_ID], 0)
    # Docker takes away all names but the last.
    (left,) = two.images.list({})
    assert len(left.repo_tags) == 1
    two.users.clear()
    assert pruned(two, dangling=["false"]) == ([TWO_ID, CHAINS[1], CHAINS[0]], len(A) + len(B))
    two.assert_empty()


def test_prune_filters(two):
    assert pruned(two, dangling=["false"], until=["2024-01-01"]) == ([], 0)
    assert pruned(two, dangling=["false"], label=["a"]) == ([], 0)
    with pytest.raises(InvalidArgumentError):
        pruned(two, nonsense=["x"])
    deleted, _ = pruned(two, **{"dangling": ["false"], "label!": ["a"], "until": ["2025-01-01"]})
    assert len(deleted) == 4

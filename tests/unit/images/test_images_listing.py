"""Names, lists, inspect, history and sizes."""

from __future__ import annotations

import gzip

import pytest

from knarr.errors import InvalidArgumentError, NotFoundError
from support.image_home import config, docker_archive, layer, oci_archive, sha

A, B = layer({"a": b"a" * 9000}), layer({"b": b"b"})
OLD = config(A, created="2020-01-01T00:00:00Z", config={"Labels": {"k": "v", "l": ""}})
NEW = config(A, B, created="2024-01-01T00:00:00.5Z")


@pytest.fixture
def two(home):
    home.load(docker_archive((OLD, [A], ["old:1", "q.io/a/b:c"]), (NEW, [A, B], ["new:1"])))
    return home


def shown(home, **filters: list[str]) -> list[str]:
    found = home.images.list({key.rstrip("_"): value for key, value in filters.items()})
    return [name for each in found for name in each.repo_tags or [each.id]]


def test_images_are_listed_newest_first(two):
    new, old = two.images.list({})
    assert (new.id, new.created, new.repo_tags) == (sha(NEW), 1704067200, ["new:1"])
    assert (old.id, old.repo_tags, old.repo_digests) == (sha(OLD), ["old:1", "q.io/a/b:c"], [])
    assert (old.size, new.size) == (len(A), len(A) + len(B))
    assert (old.shared_size, old.containers) == (-1, -1)
    assert old.labels == {"k": "v", "l": ""}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"label": ["k"]}, ["old:1", "q.io/a/b:c"]),
        ({"label": ["k=v", "l"]}, ["old:1", "q.io/a/b:c"]),
        ({"label": ["k=x"]}, []),
        ({"label!": ["k"]}, ["new:1"]),
        ({"before": ["new:1"]}, ["old:1", "q.io/a/b:c"]),
        ({"since": ["old:1"]}, ["new:1"]),
        ({"until": ["2021-01-01"]}, ["old:1", "q.io/a/b:c"]),
        ({"reference": ["old"]}, ["old:1"]),
        ({"reference": ["q.io/*/b", "n*"]}, ["new:1", "q.io/a/b:c"]),
        ({"reference": ["nope"]}, []),
        ({"dangling": ["true"]}, []),
        ({"dangling": ["false"]}, ["new:1", "old:1", "q.io/a/b:c"]),
    ],
)
def test_filters(two, filters, names):
    assert shown(two, **filters) == names


def test_dangling_images(two):
    two.load(docker_archive((config(B), [B], ["new:1"])))
    assert shown(two, dangling=["true"]) == [sha(NEW)]
    assert sha(NEW) in shown(two)
    assert sha(NEW) not in shown(two, dangling=["false"])
    assert sha(NEW) not in shown(two, reference=["*"])


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"nonsense": ["x"]}, InvalidArgumentError),
        ({"dangling": ["maybe"]}, InvalidArgumentError),
        ({"before": ["nope"]}, NotFoundError),
        ({"since": ["nope"]}, NotFoundError),
        ({"until": ["a", "b"]}, InvalidArgumentError),
        ({"until": ["x"]}, InvalidArgumentError),
        ({"reference": ["["]}, InvalidArgumentError),
    ],
)
def test_bad_filters(two, filters, error):
    with pytest.raises(error):
        two.images.list(filters)


def test_sizes_that_are_shared(two):
    total, images = two.images.disk_usage({sha(OLD): 3})
    assert total == len(A) + len(B)
    assert {each.id: (each.shared_size, each.containers) for each in images} == {
        sha(OLD): (len(A), 3),
        sha(NEW): (len(A), 0),
    }


def test_tags(two):
    assert two.images.tag("old:1", "other").canonical() == "docker.io/library/other:latest"
    assert two.images.tag(sha(OLD)[7:15], "h:5000/x", "y").familiar() == "h:5000/x:y"
    assert two.images.resolve("h:5000/x:y").id == sha(OLD)
    two.images.tag("new:1", "other")
    assert two.images.resolve("other").id == sha(NEW)


def test_what_is_known_of_a_name_ends_with_the_next_change(two):
    assert two.images.known("old:1") is None
    resolved = two.images.resolve("old:1")
    assert two.images.known("old:1") is resolved
    two.images.tag("new:1", "old:1")
    assert two.images.known("old:1") is None
    assert two.images.resolve("old:1").id == sha(NEW)
    two.remove("old:1")
    assert two.images.known("old:1") is None


@pytest.mark.parametrize(
    ("source", "target", "tag", "error", "message"),
    [
        ("nope", "x", "", NotFoundError, "No such image: nope:latest"),
        ("old:1", "x", "-y", InvalidArgumentError, "invalid tag format"),
        (
            "old:1",
            "x@" + sha(b""),
            "",
            InvalidArgumentError,
            "refusing to create a tag with a digest reference",
        ),
        (
            "old:1",
            "X",
            "",
            InvalidArgumentError,
            "invalid reference format: repository name (library/X) must be lowercase",
        ),
    ],
)
def test_bad_tags(two, source, target, tag, error, message):
    with pytest.raises(error) as caught:
        two.images.tag(source, target, tag)
    assert caught.value.message == message


def test_a_name_comes_before_the_beginning_of_an_id(two):
    short = sha(OLD)[7:11]
    assert two.images.resolve(short).id == sha(OLD)
    two.images.tag("new:1", short)
    assert two.images.resolve(short).id == sha(NEW)


def test_inspect(two):
    found = two.images.inspect("old:1")
    assert found.id == sha(OLD)
    assert found.created == "2020-01-01T00:00:00Z"
    assert found.root_fs.layers == [sha(A)]
    assert found.config.labels == {"k": "v", "l": ""}
    assert (found.os, found.architecture, found.parent) == ("linux", "amd64", "")
    assert found.graph_driver.name == "files"
    assert found.metadata.last_tag_time.startswith("20")
    assert two.images.inspect("new:1").created == "2024-01-01T00:00:00.5Z"


def test_configs_as_go_writes_them(home):
    """Nulls where values may be missing, and single strings for lists."""
    settings = {"Cmd": None, "Entrypoint": "run", "Env": None, "User": None, "Volumes": {"/v": {}}}
    home.load(docker_archive((config(A, config=settings, created=None), [A], ["x:1"])))
    found = home.images.resolve("x:1").config
    assert (found.cmd, found.entrypoint, found.user) == (None, ["run"], "")
    assert list(found.volumes) == ["/v"]
    assert home.images.inspect("x:1").created == ""


def test_history_with_empty_layers(home):
    steps = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD", "comment": "c"},
        {"created_by": "ENV", "empty_layer": True},
        {"created_by": "RUN"},
    ]
    home.load(docker_archive((config(A, B, history=steps), [A, B], ["x:1"])))
    run, env, add = home.images.history("x:1")
    assert (run.created_by, run.size, run.tags) == ("RUN", len(B), ["x:1"])
    assert (env.created_by, env.size, env.id, env.tags) == ("ENV", 0, "<missing>", None)
    assert (add.created_by, add.size, add.created) == ("ADD", len(A), 1704067200)
    assert add.comment == "c"


def test_history_that_cannot_be(home):
    steps = [{"created_by": "a"}, {"created_by": "b"}]
    home.load(docker_archive((config(A, history=steps), [A], ["x:1"])))
    with pytest.raises(InvalidArgumentError, match="too many non-empty layers"):
        home.images.history("x:1")


def test_the_size_is_that_of_the_plain_layers(home):
    home.load(oci_archive((config(A), [gzip.compress(A)]), names=["x:1"]))
    assert home.images.list({})[0].size == len(A)

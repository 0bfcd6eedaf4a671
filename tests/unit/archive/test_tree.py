"""How the entries of a tar become a tree; the laws stand in the module's docstring."""

from __future__ import annotations

import stat

import pytest

from knarr.archive.failure import BadArchiveError
from knarr.archive.tarstream import TarStream
from knarr.archive.tree import Node, Tree
from support.tars import Member, archive, device, directory, file, hardlink, symlink


def tree(*members: Member) -> Tree:
    made = Tree()
    for entry in TarStream([archive(members)]):
        made.add(entry)
    made.finish()
    return made


def at(made: Tree, path: str) -> Node:
    node = made.root
    for part in path.encode().split(b"/"):
        assert node.children is not None
        node = node.children[part]
    return node


def paths(made: Tree) -> list[str]:
    found, stack = [], [("", made.root)]
    while stack:
        path, node = stack.pop()
        for name, child in (node.children or {}).items():
            below = f"{path}/{name.decode()}" if path else name.decode()
            found.append(below)
            stack.append((below, child))
    return sorted(found)


def test_parents_are_implied() -> None:
    made = tree(file("a/b/c", mtime=5), directory("a/d"), directory("x"))
    assert made.implied() == [b"", b"a", b"a/b"]
    assert at(made, "a/b").mtime == 5 * 10**9
    assert at(made, "a/b").mode == stat.S_IFDIR | 0o755


def test_an_entry_that_comes_later_ends_the_implication() -> None:
    made = tree(file("a/b"), directory("a", mode=0o700), directory("./", mode=0o711))
    assert made.implied() == []
    assert at(made, "a").mode == stat.S_IFDIR | 0o700
    assert at(made, "a/b").size == 0
    assert made.root.mode == stat.S_IFDIR | 0o711


@pytest.mark.parametrize(
    "members",
    [
        [file(".wh.a"), directory("a")],
        [directory("a"), file(".wh.a")],
        [directory("a"), file("a/.wh..wh..opq")],
        [file("a/.wh..wh..opq"), directory("a")],
        [file(".wh.a"), file("a/x")],
        [file("a/x"), file(".wh.a")],
    ],
)
def test_whiteout_beside_a_directory_makes_it_opaque(members: list[Member]) -> None:
    made = tree(*members)
    assert at(made, "a").opaque
    assert made.implied() == [b""]
    assert at(made, "a").overlay_xattrs()[b"trusted.overlay.opaque"] == b"y"


@pytest.mark.parametrize("members", [[file(".wh.a"), file("a")], [file("a"), file(".wh.a")]])
def test_whiteout_beside_a_file_says_nothing(members: list[Member]) -> None:
    assert stat.S_ISREG(at(tree(*members), "a").mode)


def test_whiteout_of_something_below() -> None:
    made = tree(file("d/.wh.gone"), directory("d/.wh.also-gone"))
    assert at(made, "d/gone").is_whiteout
    assert at(made, "d/also-gone").is_whiteout
    assert at(made, "d").overlay_xattrs() == {b"trusted.overlay.origin": b""}


def test_opaque_directory_may_be_implied() -> None:
    made = tree(file("a/.wh..wh..opq"))
    assert made.implied() == [b"", b"a"]
    assert at(made, "a").opaque


def test_files_of_aufs_are_left_out() -> None:
    made = tree(directory(".wh..wh.plnk"), file(".wh..wh.plnk/1"), file(".wh..wh.aufs"))
    assert paths(made) == []


@pytest.mark.parametrize(
    "member",
    [
        file("../a"),
        file("a/../../b"),
        file(".."),
        file("/../etc/passwd"),
        file("n" * 256),
        directory("n" * 256 + "/b"),
        file("p/" * 2100 + "f"),
        file("d/" * 1001 + "f"),
        file(".wh."),
        file("a/.wh.."),
        file("a/.wh..."),
        file(".wh.a/b"),
        file("./"),
        hardlink("h", "missing"),
        hardlink("h", "../etc/passwd"),
        hardlink("h", "/"),
        symlink("s", ""),
        symlink("s", "t" * 4096),
        file("x", xattrs={"user." + "n" * 255: "v"}),
        file("x", xattrs={"user.big": "v" * 65536}),
    ],
    ids=range(20),
)
def test_refused(member: Member) -> None:
    with pytest.raises(BadArchiveError) as caught:
        tree(member)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "members",
    [
        [file("f"), file("f/below")],
        [device("d", 1, 3), directory("d/below")],
        [directory("d"), hardlink("h", "d")],
        [file(".wh.gone"), hardlink("h", "gone")],
        [symlink("a", "b"), symlink("b", "a"), file("a/x")],
        [symlink("a", "a/b"), file("a/x")],
        [file("f"), symlink("s", "f"), file("s/x")],
        [symlink("s", ".wh.x"), file("s/a")],
    ],
    ids=range(8),
)
def test_refused_together(members: list[Member]) -> None:
    with pytest.raises(BadArchiveError):
        tree(*members)


def test_links_are_followed_inside_the_root() -> None:
    made = tree(
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        file("lib/a"),
        symlink("out", "../../../../usr"),
        file("out/b"),
        symlink("abs", "/usr/./lib/../lib"),
        file("abs/c"),
        hardlink("h", "lib/a"),
    )
    assert {"usr/b", "usr/lib/a", "usr/lib/c"} <= set(paths(made))
    assert at(made, "h") is at(made, "usr/lib/a")


def test_replacing_a_parent_forgets_where_it_led() -> None:
    made = tree(
        directory("real"),
        symlink("p", "real"),
        file("p/one"),
        directory("p"),
        file("p/two"),
        directory("q"),
        file("q/three"),
        symlink("q", "real"),
        file("q/four"),
    )
    assert paths(made) == ["p", "p/two", "q", "real", "real/four", "real/one"]


def test_hard_links_share_and_survive_replacement() -> None:
    made = tree(file("a", b"1"), hardlink("b", "./a"), file("a", b"22"), hardlink("a", "a"))
    assert at(made, "a").size == 2
    assert at(made, "b").size == 1


def test_attributes_that_no_file_has_are_left_out() -> None:
    attributes = {
        "user.kept": "1",
        "security.capability": "2",
        "trusted.overlay.redirect": "/etc",
        "trusted.overlay.opaque": "y",
        "trusted.kept": "3",
        "system.nfs4_acl": "4",
        "system.posix_acl_access": "5",
        "user.": "6",
        "nothing": "7",
    }
    made = tree(file("f", xattrs=attributes), symlink("l", "f", xattrs=attributes))
    assert set(at(made, "f").xattrs or {}) == {
        b"user.kept",
        b"security.capability",
        b"trusted.kept",
        b"system.posix_acl_access",
    }
    assert b"user.kept" not in (at(made, "l").xattrs or {})


def test_device_zero_zero_is_a_whiteout() -> None:
    assert at(tree(device("gone", 0, 0)), "gone").is_whiteout


def test_number_of_files_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knarr.archive.tree.MAX_NODES", 100)
    with pytest.raises(BadArchiveError, match="more than 100"):
        tree(*[file(f"d{n}/f") for n in range(60)])

"""What the paths of cp mean: the tables of Docker, as observed with its command line."""

from __future__ import annotations

import stat

import pytest

from knarr.archive import copypaths
from knarr.archive.copypaths import Placed, Side
from knarr.archive.entry import HARDLINK, NO_XATTRS, Entry
from knarr.archive.failure import BadArchiveError


@pytest.mark.parametrize(
    ("path", "whole", "base", "parts"),
    [
        ("/", "/", "/", ("/", "/")),
        (".", "/.", ".", ("/", ".")),
        ("/.", "/.", ".", ("/", ".")),
        ("a", "/a", "a", ("/", "a")),
        ("/a", "/a", "a", ("/", "a")),
        ("//a", "/a", "a", ("/", "a")),
        ("/a/", "/a/", "a", ("/", "a")),
        ("/a/.", "/a/.", ".", ("/a", ".")),
        ("/a/b", "/a/b", "b", ("/a", "b")),
        ("/a/b/", "/a/b/", "b", ("/a", "b")),
        ("/a/b/.", "/a/b/.", ".", ("/a/b", ".")),
        ("/a/../b", "/b", "b", ("/", "b")),
        ("/../../b/", "/b/", "b", ("/", "b")),
        ("/a/..", "/", "/", ("/", "/")),
        ("a/./b", "/a/b", "b", ("/a", "b")),
        ("/a.", "/a.", "a.", ("/", "a.")),
    ],
)
def test_paths_of_containers(path: str, whole: str, base: str, parts: tuple[str, str]) -> None:
    assert copypaths.absolute(path) == whole
    assert copypaths.base(whole) == base
    assert copypaths.split(whole) == parts


@pytest.mark.parametrize(
    ("path", "directory", "content"),
    [
        ("a", False, False),
        ("a/", True, False),
        ("a/.", True, True),
        (".", True, True),
        ("a.", False, False),
        ("/", True, False),
        ("..", False, False),
    ],
)
def test_what_an_ending_says(path: str, directory: bool, content: bool) -> None:
    assert copypaths.means_directory(path) is directory
    assert copypaths.means_content(path) is content


@pytest.mark.parametrize(
    ("path", "resolved", "result"),
    [
        ("/link", "/real", ("/real", "link")),
        ("/link/", "/real", ("/real/", "link")),
        ("/link/.", "/real", ("/real/.", "")),
        ("/same", "/other/same", ("/other/same", "")),
    ],
)
def test_names_of_links_that_were_followed(
    path: str, resolved: str, result: tuple[str, str]
) -> None:
    assert copypaths.renamed(path, resolved) == result


FILE, DIRECTORY, CONTENT = Side("/s/f"), Side("/s/d", is_directory=True), Side("/s/d/.")
CONTENT = CONTENT._replace(is_directory=True)
IS_DIRECTORY = Side("/c/d", is_directory=True)
IS_FILE = Side("/c/f")
MISSING = Side("/c/new", exists=False)
MISSING_DIRECTORY = Side("/c/new/", exists=False)


@pytest.mark.parametrize(
    ("source", "destination", "placed"),
    [
        (FILE, IS_DIRECTORY, Placed("/c/d")),
        (FILE, IS_FILE, Placed("/c", "f", "f")),
        (FILE, MISSING, Placed("/c", "f", "new")),
        (DIRECTORY, IS_DIRECTORY, Placed("/c/d")),
        (DIRECTORY, MISSING, Placed("/c", "d", "new")),
        (DIRECTORY, MISSING_DIRECTORY, Placed("/c", "d", "new")),
        (CONTENT, IS_DIRECTORY, Placed("/c/d")),
        (CONTENT, MISSING, Placed("/c", ".", "new")),
        (FILE._replace(rename="l"), MISSING, Placed("/c", "l", "new")),
    ],
)
def test_where_a_copy_goes(source: Side, destination: Side, placed: Placed) -> None:
    assert copypaths.place(source, destination) == placed


@pytest.mark.parametrize(
    ("source", "destination", "message"),
    [
        (DIRECTORY, IS_FILE, "cannot copy directory"),
        (CONTENT, IS_FILE, "cannot copy directory"),
        (FILE, MISSING_DIRECTORY, "no such directory"),
    ],
)
def test_what_cannot_be_copied(source: Side, destination: Side, message: str) -> None:
    with pytest.raises(BadArchiveError, match=message):
        copypaths.place(source, destination)


@pytest.mark.parametrize(
    ("name", "old", "new", "result"),
    [
        (b"d/x/d", b"d", b"new", b"new/x/d"),
        (b"./x", b".", b"new", b"new/x"),
        (b"/etc/x", b"", b"new", b"new/etc/x"),
        (b"\xff/x", b"\xff", b"\xfe", b"\xfe/x"),
    ],
)
def test_entries_are_renamed(name: bytes, old: bytes, new: bytes, result: bytes) -> None:
    entry = Entry(name, stat.S_IFREG, 0o644, 0, 0, 0, 0, b"", 0, NO_XATTRS, 0)
    assert copypaths.moved(entry, old, new).name == result
    linked = entry._replace(name=b"other", type=HARDLINK, link=name)
    assert copypaths.moved(linked, old, new).link == result


def test_a_symbolic_link_keeps_its_target() -> None:
    entry = Entry(b"d", stat.S_IFLNK, 0o777, 0, 0, 0, 0, b"d", 0, NO_XATTRS, 0)
    assert copypaths.moved(entry, b"d", b"new") == entry._replace(name=b"new")

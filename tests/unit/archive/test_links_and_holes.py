"""Where links lead as text, and where a file has holes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.archive import holes
from knarr.archive.links import resolved


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "dir/sub").mkdir(parents=True)
    for name, target in {
        "abs": "/dir",
        "rel": "dir/sub",
        "dir/up": "../../../../dir",
        "chain": "abs/up",
        "broken": "no/where",
        "loop": "pool",
        "pool": "loop",
        "dots": "./dir/../dir/.",
        "root": "/",
    }.items():
        (tmp_path / name).symlink_to(target)
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", b"/"),
        (b"/dir", b"/dir"),
        (b"abs/sub", b"/dir/sub"),
        (b"/rel/x", b"/dir/sub/x"),
        (b"/dir/up/sub", b"/dir/sub"),
        (b"/chain", b"/dir"),
        (b"/broken/x", b"/no/where/x"),
        (b"/dots/../abs", b"/dir"),
        (b"/root/root/rel", b"/dir/sub"),
        (b"/new/../other", b"/other"),
        (b"/../../dir/.", b"/dir"),
    ],
)
def test_links_stay_in_the_root(root: int, path: bytes, expected: bytes) -> None:
    assert resolved(root, path) == expected


def test_links_in_a_circle(root: int) -> None:
    with pytest.raises(OSError, match="too many levels"):
        resolved(root, b"/loop")


def found(path: Path) -> list[tuple[int, int]] | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        runs = holes.find(fd, os.fstat(fd))
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        return None if runs is None else [(run.start, run.length) for run in runs]
    finally:
        os.close(fd)


def test_holes(tmp_path: Path) -> None:
    plain, hole, mixed, small = (tmp_path / name for name in ("plain", "hole", "mixed", "small"))
    plain.write_bytes(b"x" * 200_000)
    hole.touch()
    os.truncate(hole, 1 << 20)
    with mixed.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * 4096)
        file.truncate(1 << 21)
    small.touch()
    os.truncate(small, 4096)
    assert found(plain) is None
    assert found(small) is None, "not worth it"
    if hole.stat().st_blocks:
        pytest.skip("this file system has no holes")
    assert found(hole) == []
    assert found(mixed) == [(1 << 20, 4096)]

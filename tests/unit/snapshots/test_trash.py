"""The trash empties whatever was thrown into it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from knarr.snapshots import Trash


def test_tree_is_gone_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("p")
    victim = tmp_path / "victim"
    (victim / "a/b/c").mkdir(parents=True)
    (victim / "a/file").write_text("x")
    (victim / "a/link").symlink_to(outside)
    (victim / "a/b/fifo").parent.mkdir(exist_ok=True)
    os.mkfifo(victim / "a/b/fifo")
    (victim / "a/b").chmod(0o000)
    trash = Trash(tmp_path)
    assert trash.put(victim)
    assert not trash.put(victim)
    assert not victim.exists()
    trash.empty()
    assert list((tmp_path / "trash").iterdir()) == []
    assert (outside / "precious").read_text() == "p"


def test_tree_deeper_than_any_path(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 100, dir_fd=fd)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    trash = Trash(tmp_path)
    trash.put(top)
    trash.empty()
    assert list((tmp_path / "trash").iterdir()) == []


def test_background_thread_empties_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knarr.snapshots.trash._PAUSE_SECONDS", 0.0)
    trash = Trash(tmp_path)
    for round_ in range(3):
        (tmp_path / "f").write_text(str(round_))
        trash.put(tmp_path / "f")
        trash.empty_soon()
        for thread in threading.enumerate():
            if thread.name == "trash":
                thread.join()
        assert list((tmp_path / "trash").iterdir()) == []

from __future__ import annotations

import threading

import pytest

from knarr.api.images import Progress, ProgressDetail
from knarr.images.bars import bar
from knarr.images.board import Board


def message(name: str, status: str, current: int = 0) -> Progress:
    return Progress(id=name, status=status, progress_detail=ProgressDetail(current=current))


def test_only_the_last_number_is_told_but_every_change():
    board = Board()
    for each in (
        message("a", "Downloading", 1),
        message("b", "Waiting"),
        message("a", "Downloading", 2),
        message("a", "Download complete"),
    ):
        board.post(each)
    told = [(each.id, each.status, each.progress_detail.current) for each in board.take(0)]
    assert told == [("a", "Downloading", 2), ("b", "Waiting", 0), ("a", "Download complete", 0)]
    assert board.take(0) == []


def test_who_waits_is_woken():
    board = Board()
    threading.Timer(0.01, board.wake).start()
    assert board.take(60) == []
    threading.Timer(0.01, lambda: board.post(message("a", "x"))).start()
    assert len(board.take(60)) == 1


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [
        (0, 10, ""),
        (5, 0, "      5B"),
        (11, 10, "     11B"),
        (1, 2, f"[{'=' * 25}>{' ' * 25}]       1B/2B"),
        (1_048_576, 1_048_576, f"[{'=' * 50}>]  1.049MB/1.049MB"),
        (1, 3_000_000_000, f"[>{' ' * 50}]       1B/3GB"),
    ],
    ids=["nothing", "unknown", "more", "half", "all", "begin"],
)
def test_bars(current, total, text):
    assert bar(current, total) == text

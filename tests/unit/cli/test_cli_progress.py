"""Bars that are drawn again in place, as a terminal shows them in the end."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from knarr.cli import progress
from knarr.cli.command import CommandError

_PIECE = re.compile(r"\x1b\[(\d*)([A-Z])|(\n)|(\r)|([^\x1b\n\r]+)")


class Screen(io.StringIO):
    """A terminal: ``shown`` are its lines after all that was written."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for number, letter, feed, back, text in _PIECE.findall(self.getvalue()):
            if letter == "A":
                row -= int(number or 1)
                assert row >= 0, "above the screen"
            elif letter == "B":
                row += int(number or 1)
                assert row < len(lines), "below what was written"
            elif letter == "K":
                lines[row] = ""
            elif feed:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif back:
                column = 0
            else:
                lines[row] = lines[row][:column].ljust(column) + text
                column += len(text)
        return lines


def moving(name: str, current: int, total: int = 4_000_000) -> dict[str, Any]:
    detail = {"current": current, "total": total}
    return {"id": name, "status": "Pushing", "progressDetail": detail}


def status(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "status": text, "progressDetail": {}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("os.get_terminal_size", lambda _=0: (_ for _ in ()).throw(OSError()))
    return now


def test_lines_are_drawn_in_place_with_rates_and_a_sum(clock: list[float]) -> None:
    screen = Screen()
    seen = []

    def documents() -> Any:
        yield {"status": "The push refers to repository [x]"}
        yield status("a", "Preparing")
        yield status("b", "Preparing")
        yield moving("a", 1_000_000)
        seen.append(screen.shown)
        clock[0] = 1.0
        yield moving("a", 2_000_000)
        yield moving("b", 1_000_000)
        seen.append(screen.shown)
        yield status("c", "Preparing")
        seen.append(screen.shown)
        yield status("a", "Pushed")
        yield status("b", "Pushed")
        yield status("c", "Layer already exists")
        yield {"status": "1: digest: sha256:0 size: 1"}
        yield {"progressDetail": {}, "aux": {"Tag": "1"}}

    progress.show(documents(), screen)
    assert [line.partition(" [")[0].rstrip() for line in seen[0]] == [
        "The push refers to repository",
        "a: Pushing",
        "b: Preparing",
        "",
    ]
    assert seen[1][1].endswith("2MB/4MB  1MB/s")
    assert seen[1][3] == "Total: 3MB/8MB  1MB/s"
    assert [seen[2][3], seen[2][4]] == ["c: Preparing", "Total: 3MB/8MB  1MB/s"]
    assert screen.shown == [
        "The push refers to repository [x]",
        "a: Pushed",
        "b: Pushed",
        "c: Layer already exists",
        "1: digest: sha256:0 size: 1",
        "",
    ]


def test_an_error_leaves_no_sum_behind(clock: list[float]) -> None:
    screen = Screen()
    documents = [moving("a", 1), moving("b", 1), {"error": "denied"}]
    with pytest.raises(CommandError, match="denied"):
        progress.show(documents, screen)
    assert screen.shown[-1] == ""
    assert len(screen.shown) == 3


def test_elsewhere_only_what_happens_is_printed() -> None:
    out = io.StringIO()
    aux = {"progressDetail": {}, "aux": {"Tag": "1"}}
    progress.show([status("a", "Preparing"), moving("a", 1), status("a", "Pushed"), aux], out)
    assert out.getvalue() == "a: Preparing\na: Pushed\n"

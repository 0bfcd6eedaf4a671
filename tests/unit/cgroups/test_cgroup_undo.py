from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.errors import KnarrError
from knarr.runtime.cgroups import undo
from knarr.runtime.cgroups.setting import Setting, apply

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("file", "before", "value", "back"),
    [
        ("cpu.shares", "1024\n", "512", "1024"),
        ("cpu.max", "max 100000\n", "50000 100000", "max 100000"),
        ("cpuset.cpus", "\n", "0", "\n"),
        ("io.weight", "default 100\n8:0 300\n", "default 50", "default 100"),
        ("io.weight", "default 100\n8:0 300\n", "8:0 50", "8:0 300"),
        ("io.weight", "default 100\n", "8:0 50", "8:0 default"),
        ("io.max", "8:0 rbps=max wbps=4096 riops=max wiops=max\n", "8:0 wbps=1", "8:0 wbps=4096"),
        ("io.max", "8:0 rbps=max wbps=4096 riops=max wiops=max\n", "8:16 wbps=1", "8:16 wbps=max"),
        ("blkio.throttle.read_bps_device", "8:0 77\n", "8:0 1", "8:0 77"),
        ("blkio.throttle.read_bps_device", "8:0 77\n", "8:16 1", "8:16 0"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "1", "0"),
    ],
)
def test_what_was_there_is_written_back(
    tmp_path: Path, file: str, before: str, value: str, back: str
) -> None:
    (tmp_path / file).write_text(before)
    assert undo.earlier(str(tmp_path / file), value) == (str(tmp_path / file), back)


def test_a_file_that_is_missing_has_nothing_to_undo(tmp_path: Path) -> None:
    assert undo.earlier(str(tmp_path / "none"), "1") is None


def test_changes_are_noted_in_order_and_taken_back(tmp_path: Path) -> None:
    for file in ("a.max", "c.max"):
        (tmp_path / file).write_text("1")
    changes: list[undo.Earlier] = []
    apply(Setting("a", "a.max", "2"), str(tmp_path), changes)
    apply(Setting("b", "b.max", "2", Setting("c", "c.max", "2")), str(tmp_path), changes)
    with pytest.raises(KnarrError):
        apply(Setting("d", "d.max", "2"), str(tmp_path), changes)
    assert [(tmp_path / file).read_text() for file in ("a.max", "c.max")] == ["2", "2"]
    undo.restore(changes)
    assert [(tmp_path / file).read_text() for file in ("a.max", "c.max")] == ["1", "1"]

"""A process that is killed at any stage of a start leaves nothing that `delete` does not clean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr.errors import NotFoundError
from knarr.runtime import lifecycle
from knarr.runtime import state as record
from support.boxes import Box

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


@pytest.mark.parametrize("stage", ["recorded", "cgroup-made", "started"])
def test_killed_at_a_stage(box: Box, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNARR_FAULT", f"runtime.{stage}")
    parent = os.fork()
    if parent == 0:
        try:
            box.start("sleep", "100")
        finally:
            os._exit(1)  # not reached: the fault point kills
    assert os.WTERMSIG(os.waitpid(parent, 0)[1]) == 9
    monkeypatch.delenv("KNARR_FAULT")
    assert lifecycle.state(box.state_root, box.id)["status"] == "creating"
    lifecycle.delete(box.state_root, box.id, force=True)
    with pytest.raises(NotFoundError):
        lifecycle.state(box.state_root, box.id)
    assert box.run("true").code == 0


def test_id_that_was_claimed_and_no_more_is_free_after_delete(box: Box) -> None:
    record.claim(box.state_root, box.id)
    lifecycle.delete(box.state_root, box.id, force=True)
    assert box.run("true").code == 0


def test_parent_that_is_killed_later_leaves_the_container_running(box: Box) -> None:
    parent = os.fork()
    if parent == 0:
        try:
            box.start("sleep", "100")
            os.kill(os.getpid(), 9)
        finally:
            os._exit(1)
    os.waitpid(parent, 0)
    seen = lifecycle.state(box.state_root, box.id)
    assert seen["status"] == "running"
    assert Path(f"/proc/{seen['pid']}/cmdline").read_bytes() == b"sleep\x00100\x00"
    lifecycle.delete(box.state_root, box.id, force=True)

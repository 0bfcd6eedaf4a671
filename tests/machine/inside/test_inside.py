"""What sort of machine it is; runs inside only."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from knarr.runtime.cgroups import Cgroup, detect

pytestmark = pytest.mark.needs_root


def test_only_the_unified_hierarchy_exists() -> None:
    layout = detect()
    assert layout.mode == "unified"
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= layout.controllers


def test_the_kernel_is_older_than_mounts_of_erofs_from_a_file() -> None:
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    assert (major, minor) < (6, 12)


def test_what_is_written_goes_to_an_empty_disk(tmp_path: Path) -> None:
    assert os.major(tmp_path.stat().st_dev) != 0


def test_orphans_are_reaped() -> None:
    """Process 1 of the machine is a parent to those who lost theirs."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        orphan = os.fork()
        if orphan == 0:
            signal.pause()
        os.write(writer, str(orphan).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    orphan = int(os.read(reader, 20))
    descriptor = os.pidfd_open(orphan)
    os.kill(orphan, signal.SIGKILL)
    for each in (reader, writer):
        os.close(each)
    import select

    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_engines_of_this_machine_start_with_an_empty_tree() -> None:
    assert not Cgroup("/knarr", detect()).exists()

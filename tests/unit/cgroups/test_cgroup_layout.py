"""Finding the hierarchies in a mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from knarr.errors import FailedPreconditionError, InvalidArgumentError
from knarr.runtime.cgroups import Cgroup, Layout, detect, layout

V1 = """\
24 1 8:1 / / rw - ext4 /dev/sda1 rw
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,name=systemd
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""


def test_legacy_controllers_that_share_a_mount() -> None:
    unified, legacy = layout.parse(V1)
    assert unified == ""
    assert legacy == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
    }


def test_unified_mount_with_an_escaped_name() -> None:
    unified, legacy = layout.parse(r"30 24 0:26 / /mnt/a\040b rw - cgroup2 none rw" + "\n")
    assert (unified, legacy) == ("/mnt/a b", {})


def test_the_standard_place_wins_over_bind_mounts_of_it() -> None:
    before = "29 24 0:29 /docker/x /srv/x/memory rw - cgroup cgroup rw,memory\n"
    after = "40 24 0:29 /docker/y /srv/y/memory rw - cgroup cgroup rw,memory\n"
    _, legacy = layout.parse(before + V1 + after)
    assert legacy["memory"] == "/sys/fs/cgroup/memory"


def test_detect_reads_the_controllers_of_v2(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 24 0:26 / {tmp_path} rw - cgroup2 none rw\n")
    found = detect(str(mounts))
    assert found == Layout(str(tmp_path), frozenset({"cpu", "memory"}), {})
    assert found.mode == "unified"


def test_a_host_without_cgroups_is_told(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("24 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    with pytest.raises(FailedPreconditionError, match="no cgroup hierarchy is mounted"):
        detect(str(tmp_path / "mountinfo"))


@pytest.mark.parametrize(
    ("mode", "unified", "legacy"),
    [("hybrid", "/u", {"memory": "/m"}), ("legacy", "", {"memory": "/m"}), ("unified", "/u", {})],
)
def test_mode(mode: str, unified: str, legacy: dict[str, str]) -> None:
    assert Layout(unified, frozenset(), legacy).mode == mode


def test_directory_of_a_controller_on_a_mixed_host() -> None:
    cgroup = Cgroup("knarr//x/./y/", Layout("/u", frozenset({"pids"}), {"memory": "/m"}))
    assert cgroup.path == "/knarr/x/y"
    assert cgroup.directory("memory") == "/m/knarr/x/y"
    assert cgroup.directory("pids") == "/u/knarr/x/y"
    assert cgroup.directory("cpu") == ""


@pytest.mark.parametrize("path", ["", "/", "/a/../b", "..", "/a\n", "/a\0b"])
def test_a_path_that_leaves_the_hierarchy_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Cgroup(path, Layout("/u", frozenset(), {}))

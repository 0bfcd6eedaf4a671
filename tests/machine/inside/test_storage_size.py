"""``--storage-opt size=``: a project quota on ext4, which this kernel has and others have not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images
from support.engine import Engine

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system that counts the blocks of projects."""
    base = tmp_path_factory.mktemp("quota")
    image, point = base / "disk", base / "mounted"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") or "mkfs.ext4"
    subprocess.run([mkfs, "-q", "-F", "-O", "quota,project", image], check=True)
    point.mkdir()
    subprocess.run(["/bin/mount", "-o", "loop,prjquota", image, point], check=True)
    yield point
    subprocess.run(["/bin/umount", point], check=True)


@pytest.fixture
def limited(disk: Path) -> Iterator[Engine]:
    engine = Engine(disk / "engine")
    (disk / "engine").mkdir()
    engine.start()
    try:
        assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
        yield engine
    finally:
        engine.stop_all()


def fill(megabytes: int) -> list[str]:
    return ["dd", "if=/dev/zero", "of=/big", "bs=1M", f"count={megabytes}"]


def test_a_container_gets_what_it_may_have_and_no_more(limited: Engine) -> None:
    run = ["run", "--network", "none", "--storage-opt", "size=16m"]
    limited.docker(*run, "--rm", "busybox", *fill(8))
    limited.docker("create", "--name", "other", "--network", "none", "busybox", *fill(32))
    refused = limited.docker(*run, "--name", "full", "busybox", *fill(32), check=False)
    assert refused.code == 1
    assert "Disk quota exceeded" in refused.err or "No space left" in refused.err
    limited.docker("start", "-a", "other")
    limited.docker("rm", "full", "other")
    limited.docker(*run, "--rm", "busybox", *fill(8))

"""Layers on the real kernel: restarts, crashes, foreign mounts, full disks."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import KnarrError, ResourceExhaustedError, UnavailableError
from knarr.oci.digest import DiffID
from knarr.snapshots import BACKENDS, LayerStore, Snapshotter, open_stores, opening
from knarr.sys import mount
from support import leaks
from support.overlays import mounted
from support.tars import archive, directory, file

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_erofs, pytest.mark.needs_loop]

TAR = archive(
    [directory("d", mode=0o1777), file("d/f", b"content" * 10_000), file("su", mode=0o4755)]
)
LAYER = DiffID("sha256:" + hashlib.sha256(TAR).hexdigest())


class Root:
    """A data root and an exec root that engines come and go on."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.data, self.run = base / "data", base / "run"

    def open(self, backend: str | None = "erofs-file") -> tuple[LayerStore, Snapshotter]:
        return open_stores(self.data, self.run, backend=backend)

    def point(self) -> Path:
        return self.run / "layers" / LAYER.removeprefix("sha256:")

    def python(self, code: str, *, fault: str = "") -> int:
        """Run ``code`` as another engine; ``layers``, ``snapshots``, ``TAR`` are there."""
        (self.base / "tar").write_bytes(TAR)
        head = (
            "import io; from pathlib import Path; from knarr.snapshots import open_stores\n"
            f"layers, snapshots = open_stores(Path({str(self.data)!r}), Path({str(self.run)!r}))\n"
            f"TAR = Path({str(self.base / 'tar')!r}).read_bytes()\n"
        )
        env = os.environ | ({"KNARR_FAULT": fault} if fault else {})
        return subprocess.run([sys.executable, "-c", head + code], env=env).returncode


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    made = Root(tmp_path)
    yield made
    for backend in BACKENDS[:2]:
        made.open(backend)[0].close()
    assert leaks.mounts(tmp_path) == []
    assert leaks.loops(tmp_path) == []


def ingest(layers: LayerStore, tar: bytes = TAR) -> DiffID:
    return layers.ingest(io.BytesIO(tar), expected=None).diff_id


def test_the_best_back_end_is_found_by_trying(root: Root) -> None:
    layers, _ = root.open(None)
    assert layers.backend == "erofs-file"
    ingest(layers)
    assert (layers.mounted(LAYER) / "d/f").read_bytes() == b"content" * 10_000


def test_next_back_end_is_taken_when_one_fails(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: Path) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setitem(opening._MOUNTS, "erofs-file", refuse)
    assert root.open(None)[0].backend == "erofs-loop"
    monkeypatch.setitem(opening._MOUNTS, "erofs-loop", refuse)
    assert root.open(None)[0].backend == "directory"
    with pytest.raises(UnavailableError, match="does not work here"):
        root.open("erofs-loop")
    with pytest.raises(KnarrError, match="unknown layer backend"):
        root.open("zfs")


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_mount_is_read_only_with_devices_and_set_id(root: Root, backend: str) -> None:
    layers, _ = root.open(backend)
    ingest(layers)
    flags = os.statvfs(layers.mounted(LAYER)).f_flag
    assert flags & os.ST_RDONLY
    assert not flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)


def test_mounts_do_not_spread(root: Root) -> None:
    layers, _ = root.open()
    ingest(layers)
    layers.mounted(LAYER)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    mine = [line for line in lines if str(root.run) in line.split(" ")[4]]
    assert len(mine) == 2
    assert all("shared:" not in line for line in mine)


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_next_engine_uses_the_mounts_of_the_last(root: Root, backend: str) -> None:
    layers, _ = root.open(backend)
    ingest(layers)
    device = layers.mounted(LAYER).stat().st_dev
    again, _ = root.open(backend)
    assert again.mounted(LAYER).stat().st_dev == device
    assert leaks.mounts(root.base).count(str(root.point())) == 1


def test_foreign_mount_is_replaced(root: Root) -> None:
    layers, _ = root.open()
    ingest(layers)
    other = ingest(layers, archive([file("other")]))
    layers.mounted(other)
    point = root.point()
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    assert (layers.mounted(LAYER) / "d/f").exists()
    assert leaks.mounts(root.base).count(str(point)) == 1
    again, _ = root.open()
    subprocess.run(["umount", point], check=True)
    wrong = mount.open_tree(mount.AT_FDCWD, str(layers.mounted(other)))
    mount.move_mount(wrong, str(point))
    os.close(wrong)
    assert (again.mounted(LAYER) / "d/f").exists()


def test_mount_that_someone_took_away_is_made_again(root: Root) -> None:
    layers, _ = root.open()
    ingest(layers)
    subprocess.run(["umount", layers.mounted(LAYER)], check=True)
    assert (layers.mounted(LAYER) / "d/f").exists()


def test_removal_reaches_copies_in_other_mount_namespaces(root: Root) -> None:
    layers, _ = root.open()
    ingest(layers)
    layers.mounted(LAYER)
    child = subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", "echo ready; exec sleep 60"],
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        mounts = Path(f"/proc/{child.pid}/mountinfo")
        assert str(root.point()) in mounts.read_text()
        layers.remove(LAYER)
        assert str(root.point()) not in mounts.read_text()
    finally:
        child.kill()
        child.communicate()


def test_removed_layer_frees_its_loop_device(root: Root) -> None:
    layers, _ = root.open("erofs-loop")
    ingest(layers)
    layers.mounted(LAYER)
    assert len(leaks.loops(root.base)) == 1
    layers.remove(LAYER)
    for _ in range(100):
        if not leaks.loops(root.base):
            return
        time.sleep(0.02)  # the kernel detaches it when the last user is gone
    pytest.fail("the loop device is still there")


@pytest.mark.parametrize(
    ("fault", "there"), [("load.layer-staged", False), ("load.layer-renamed", True)]
)
def test_killed_while_a_layer_is_stored(root: Root, fault: str, *, there: bool) -> None:
    code = "layers.ingest(io.BytesIO(TAR), expected=None)"
    assert root.python(code, fault=fault) == -signal.SIGKILL
    staged = root.data / "layers" / "ingest"
    assert len(list(staged.iterdir())) == (0 if there else 1)
    layers, _ = root.open()
    assert list(staged.iterdir()) == []
    assert layers.all() == ([LAYER] if there else [])
    assert ingest(layers) == LAYER
    assert (layers.mounted(LAYER) / "d/f").exists()


def test_killed_while_a_layer_is_unpacked(root: Root) -> None:
    code = "layers.ingest(io.BytesIO(TAR), expected=None)"
    code = code.replace("layers.", "open_stores(layers_root, run, backend='directory')[0].")
    code = f"layers_root, run = Path({str(root.data)!r}), Path({str(root.run)!r})\n" + code
    assert root.python(code, fault="load.layer-staged") == -signal.SIGKILL
    layers, _ = root.open("directory")
    assert list((root.data / "layers" / "ingest").iterdir()) == []
    assert layers.all() == []


def test_killed_after_a_snapshot_was_prepared(root: Root) -> None:
    code = "layers.ingest(io.BytesIO(TAR), expected=None)\n"
    code += f"snapshots.prepare('k', [{LAYER!r}])"
    assert root.python(code, fault="snapshot.prepared") == -signal.SIGKILL
    layers, snapshots = root.open()
    assert snapshots.all() == ["k"]
    (value,) = snapshots.mounts("k", [LAYER])
    with mounted(value, root.base / "m") as shown:
        assert (shown / "d/f").exists()
    assert layers.all() == [LAYER]


@pytest.mark.parametrize("first", BACKENDS)
@pytest.mark.parametrize("then", BACKENDS)
def test_layers_of_another_back_end_are_taken_over(root: Root, first: str, then: str) -> None:
    layers, _ = root.open(first)
    ingest(layers)
    layers.mounted(LAYER)
    layers, _ = root.open(then)
    assert layers.all() == [LAYER]
    shown = layers.mounted(LAYER)
    assert (shown / "d/f").read_bytes() == b"content" * 10_000
    assert (shown / "su").stat().st_mode & 0o4000
    with layers.open_tar(LAYER) as tar:
        assert tar.read() == TAR


@pytest.mark.parametrize("backend", [None, "directory"])
def test_full_disk_is_said_and_leaves_nothing(root: Root, backend: str | None) -> None:
    root.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", root.data], check=True)
    try:
        layers, _ = root.open(backend)
        with pytest.raises(ResourceExhaustedError, match="no space left"):
            ingest(layers, archive([file("big", os.urandom(6 << 20))]))
        assert layers.all() == []
        assert list((root.data / "layers" / "ingest").iterdir()) == []
        small = ingest(layers)
        assert (layers.mounted(small) / "d/f").exists()
        layers.close()
    finally:
        for _ in range(50):
            if subprocess.run(["umount", root.data], capture_output=True).returncode == 0:
                break
            time.sleep(0.02)  # the trash is being emptied


def test_many_layers_are_one_root(root: Root) -> None:
    layers, snapshots = root.open()
    stack = [ingest(layers, archive([file(f"f{n}", b"x")])) for n in range(200)]
    started = time.perf_counter()
    (value,) = snapshots.prepare("k", stack)
    with mounted(value, root.base / "m") as shown:
        took = time.perf_counter() - started
        assert len(list(shown.iterdir())) == 200
    assert took < 2
    for each in stack:
        layers.remove(each)
    assert leaks.mounts(root.base) == [str(root.run / "layers")]

"""Containers of the runtime library on this kernel: v2 limits, unpacked layers, overlayfs.

Nothing of the engine takes part: what is tested is that the parts below it hold on this host too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr.runtime import lifecycle, seccomp
from knarr.runtime.cgroups import Cgroup, detect
from knarr.runtime.process import Stdio
from knarr.snapshots import LayerStore, Snapshotter, open_stores
from support import images

pytestmark = pytest.mark.needs_root

MIB = 1 << 20
Stores = tuple[LayerStore, Snapshotter]


@pytest.fixture(scope="module", params=[None, "directory"], ids=["probed", "directory"])
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    """The back end that the engine would choose here, and the one that works everywhere."""
    base = tmp_path_factory.mktemp("stores")
    layers, snapshots = open_stores(base / "data", base / "run", backend=request.param)
    yield layers, snapshots
    for each in layers.all():
        layers.remove(each)
    layers.close()


def spec(*command: str, **resources: Any) -> Any:
    names = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    capabilities = ["CAP_CHOWN", "CAP_KILL"]
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {
            "args": list(command),
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {
                "destination": "/sys/fs/cgroup",
                "type": "cgroup",
                "source": "cgroup",
                "options": ["ro", "nosuid", "noexec", "nodev"],
            },
        ],
        "linux": {
            "namespaces": [{"type": name} for name in names],
            "cgroupsPath": "/knarr-inside/one",
            "resources": resources,
            "seccomp": seccomp.resolve(seccomp.default_profile(), capabilities),
        },
    }


@pytest.fixture
def run(stores: Stores, tmp_path: Path) -> Iterator[Any]:
    """``run(spec)`` gives the exit code and the output of a container of the busybox layer."""
    layers, snapshots = stores
    diff_id = layers.ingest(io.BytesIO(images.busybox_layer()), expected=None).diff_id
    (tmp_path / "rootfs").mkdir()

    def start(wanted: Any) -> tuple[int, str]:
        mounts = snapshots.prepare("one", [diff_id])
        reader, writer = os.pipe()
        nothing = os.open("/dev/null", os.O_RDONLY)
        state_root = str(tmp_path / "state")
        try:
            running = lifecycle.run(
                wanted,
                str(tmp_path),
                "one",
                rootfs=mounts,
                stdio=Stdio(nothing, writer, writer),
                state_root=state_root,
            )
            os.close(writer)
            writer = -1
            with os.fdopen(os.dup(reader)) as output:
                text = output.read()
            ended = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED)
            os.close(running.pidfd)
            lifecycle.delete(state_root, "one")
        finally:
            for descriptor in (reader, writer, nothing):
                if descriptor >= 0:
                    os.close(descriptor)
            snapshots.remove("one")
        assert ended is not None
        return ended.si_status + (0 if ended.si_code == os.CLD_EXITED else 128), text

    yield start
    Cgroup("/knarr-inside", detect()).remove()


def test_layers_are_not_mounted_from_files(stores: Stores) -> None:
    """Mounts of EROFS from a file need Linux 6.12: so one of the two fallbacks is at work."""
    assert stores[0].backend in {"erofs-loop", "directory"}


def test_a_container_sees_its_limits_at_the_root_of_its_own_tree(run: Any) -> None:
    files = ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpu.weight")
    command = "cat /proc/self/cgroup; cd /sys/fs/cgroup && cat " + " ".join(files)
    limits = {
        "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
        "pids": {"limit": 20},
        "cpu": {"quota": 50_000, "period": 100_000, "shares": 2048},
    }
    code, output = run(spec("sh", "-c", command, **limits))
    assert (code, output.splitlines()) == (
        0,
        ["0::/", str(64 * MIB), "0", "20", "50000 100000", "174"],
    )


def test_a_container_that_needs_too_much_is_killed(run: Any) -> None:
    command = "dd if=/dev/zero of=/dev/null bs=100M count=1"
    code, _ = run(spec("sh", "-c", command, memory={"limit": 16 * MIB, "swap": 16 * MIB}))
    assert code == 137


def test_only_granted_devices_can_be_made_use_of(run: Any) -> None:
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    ]
    wanted = spec("sh", "-c", "echo x > /dev/null && dd if=/dev/kmsg count=1", devices=rules)
    kmsg = {"type": "c", "path": "/dev/kmsg", "major": 1, "minor": 11, "fileMode": 0o666}
    wanted["linux"]["devices"] = [kmsg]
    code, output = run(wanted)
    assert code == 1
    assert "/dev/kmsg" in output
    assert "Operation not permitted" in output


def test_system_calls_are_filtered(run: Any) -> None:
    code, output = run(spec("mount", "-t", "tmpfs", "none", "/tmp"))
    assert code != 0
    assert "Operation not permitted" in output or "permission denied" in output

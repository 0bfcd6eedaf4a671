"""podman with ``knarr-runtime`` as its OCI runtime: an engine that we did not write."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import images, leaks, probes

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_peer("podman"),
    pytest.mark.needs_peer("conmon"),
]

IMAGE = "localhost/busybox"
Podman = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """podman with a store of its own; it refuses a long path for it."""
    program = probes.find_program("podman") or "podman"
    with tempfile.TemporaryDirectory(prefix="knarr-podman-", dir="/var/tmp") as path:
        base = Path(path)
        runtime = Path(sys.executable).with_name("knarr-runtime")
        (base / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = []\nnetns = "none"\n[engine]\n'
            'cgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "knarr"\n'
            f'tmp_dir = "{base}/tmp"\n[engine.runtimes]\nknarr = ["{runtime}"]\n'
        )
        (base / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{base}/root"\nrunroot = "{base}/run"\n'
        )
        (base / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (base / "busybox.tar").write_bytes(images.busybox_archive())
        env = os.environ | {
            "CONTAINERS_CONF": f"{base}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{base}/storage.conf",
        }

        def run(*args: str, code: int = 0, **more: object) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                [program, *args], env=env, capture_output=True, text=True, timeout=120, **more
            )  # type: ignore[call-overload]
            assert done.returncode == code, done
            return done

        run("load", "--signature-policy", f"{base}/policy.json", "-i", f"{base}/busybox.tar")
        try:
            yield run
        finally:
            run("rm", "-f", "-a", "-t", "0")
            remove_parents()
            left = leaks.mounts(base)
            for point in reversed(left):
                subprocess.run(["umount", "-l", point], check=False)
            assert not [point for point in left if not point.endswith(("/root", "/run"))], left


def remove_parents() -> None:
    """Remove the cgroups that podman leaves when its last container is gone."""
    for parent in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        for folder in sorted(parent.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            parent.rmdir()


@pytest.fixture
def running(podman: Podman) -> Iterator[str]:
    container = podman("run", "-d", IMAGE, "sleep", "100").stdout.strip()
    yield container
    podman("rm", "-f", "-t", "0", container)


def test_run(podman: Podman) -> None:
    done = podman("run", "--rm", "-i", IMAGE, "sh", "-c", "cat; exit 4", code=4, input="in\n")
    assert done.stdout == "in\n"


def test_program_that_is_not_there(podman: Podman) -> None:
    assert "not found" in podman("run", "--rm", IMAGE, "nosuch", code=127).stderr


def test_limits_and_rights(podman: Podman) -> None:
    # The tmpfs of --read-only would want a copy of what they cover, which is not supported.
    options = ["--memory", "32m", "--cap-drop", "all", "--read-only", "--read-only-tmpfs=false"]
    options += ["--user", "1000"]
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max; "
    script += "grep CapEff /proc/self/status; touch /x || id -u"
    shown = podman("run", "--rm", *options, IMAGE, "sh", "-c", script).stdout.split()
    assert shown == [str(32 << 20), "CapEff:", "0000000000000000", "1000"]


def test_exec(podman: Podman, running: str) -> None:
    done = podman("exec", "-i", running, "sh", "-c", "cat; exit 5", code=5, input="x\n")
    assert done.stdout == "x\n"
    assert podman("exec", "-t", running, "tty").stdout.strip() == "/dev/pts/0"
    podman("exec", running, "nosuch", code=127)


def test_life(podman: Podman, running: str) -> None:
    def state() -> str:
        return json.loads(podman("inspect", running).stdout)[0]["State"]["Status"]

    podman("pause", running)
    assert state() == "paused"
    podman("unpause", running)
    assert state() == "running"
    assert "sleep 100" in podman("top", running).stdout
    podman("kill", running)
    assert podman("wait", running).stdout.strip() == "137"
    podman("start", running)
    assert state() == "running"

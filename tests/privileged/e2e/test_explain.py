"""``run --explain`` prints what a start would do, and does nothing of it."""

from __future__ import annotations

import pytest

from support import leaks
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def traces(engine: Engine) -> tuple[object, ...]:
    """What a container would leave."""
    snapshots = list((engine.data_root / "snapshots").glob("*"))
    return engine.get("/containers/json?all=1"), leaks.cgroups(engine.exec_root), snapshots


def test_explains_and_starts_nothing(engine: Engine) -> None:
    options = ["--network", "none", "-m", "64m", "-v", "/tmp:/host:ro", "-w", "/deep/down"]
    before = traces(engine)
    lines = engine.knarr("run", "--explain", *options, "busybox", "echo", "hi").out.splitlines()
    expected = [
        "mkdir /sys/fs/cgroup/",
        'write "67108864" to memory.',
        "clone3(CLONE_VM|CLONE_VFORK|CLONE_NEWPID)",
        "unshare(CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWNET)",
        'fsopen("overlay",lowerdir+=2 layers,upperdir=',
        'open_tree("/tmp", AT_RECURSIVE)',
        "fchdir(rootfs); pivot_root",
        "seccomp(SECCOMP_SET_MODE_FILTER",
        "capset(",
        "execve(",
    ]
    remaining = iter(lines)
    for start in expected:
        assert any(line.startswith(start) for line in remaining), (start, lines)
    assert "'hi'" in lines[-1]
    assert traces(engine) == before


def test_explains_why_it_would_not_start(engine: Engine) -> None:
    done = engine.knarr("run", "--explain", "-m", "1k", "busybox", "true", check=False)
    assert done.code == 125
    assert "Minimum memory limit allowed is 6MB" in done.err

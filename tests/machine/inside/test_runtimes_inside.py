"""Another OCI runtime on a host with cgroup v2 only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import probes
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_peer("runc")]

LIMITS = ["-m", "64m", "--memory-swap", "64m", "--pids-limit", "20"]


def test_runc(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine("--add-runtime", f"runc={probes.find_program('runc')}")
    run = ["run", "-d", "--network", "none", "--name", "one", "--runtime", "runc", *LIMITS]
    engine.knarr(*run, "busybox", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done")
    assert engine.knarr("exec", "one", "sh", "-c", "echo there").line == "there"
    pid = engine.get("/containers/one/json")["State"]["Pid"]
    assert "/knarr-" in Path(f"/proc/{pid}/cgroup").read_text()
    stats = json.loads(engine.api("GET", "/containers/one/stats?stream=0&one-shot=1")[1])
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert stats["pids_stats"]["limit"] == 20
    engine.knarr("stop", "one")
    assert engine.get("/containers/one/json")["State"]["ExitCode"] == 9
    engine.knarr("rm", "one")
    assert not (engine.exec_root / "external").exists()

"""``kill -9`` of the supervisor while another runtime makes or removes a container."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import leaks, probes
from support.engine import Engine

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_overlay,
    pytest.mark.needs_peer("runc"),
]

BEFORE_IT_IS_KNOWN = [
    "supervisor.start-recorded",
    "external.place-made",
    "external.created",
    "supervisor.spawned",
]
RUN = ["run", "--network", "none", "--runtime", "runc"]


def with_fault(make_engine: Callable[..., Engine], fault: str) -> Engine:
    """An engine whose supervisors are killed at this point."""
    path = probes.find_program("runc")
    return make_engine("--add-runtime", f"runc={path}", env={"KNARR_FAULT": fault})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def supervisor(engine: Engine) -> int:
    """The process id of the supervisor; 0 between two."""
    try:
        return engine.supervisor_pid()
    except AssertionError:
        return 0


def nothing_is_left(engine: Engine) -> bool:
    return not (
        (engine.exec_root / "external").exists()
        or leaks.mounts(engine.exec_root / "external")
        or leaks.cgroups(engine.exec_root)
    )


@pytest.mark.parametrize("fault", BEFORE_IT_IS_KNOWN)
def test_start_that_is_killed_leaves_nothing(
    make_engine: Callable[..., Engine], fault: str
) -> None:
    engine = with_fault(make_engine, fault)
    first = engine.supervisor_pid()
    done = engine.knarr(*RUN, "--rm", "busybox:latest", "sleep", "1234", check=False)
    assert done.code == 125
    until(lambda: supervisor(engine) not in {0, first})
    until(lambda: nothing_is_left(engine))
    assert "1234" not in running()


def test_start_that_is_recorded_goes_on(make_engine: Callable[..., Engine]) -> None:
    engine = with_fault(make_engine, "supervisor.pid-recorded")
    container = engine.knarr(*RUN, "-d", "busybox:latest", "sleep", "1235").line
    assert engine.get(f"/containers/{container}/json")["State"]["Running"]
    assert "sleep 1235" in engine.knarr("top", container).out
    engine.knarr("rm", "-f", container)
    until(lambda: nothing_is_left(engine))


def test_removal_that_is_killed_is_finished(make_engine: Callable[..., Engine]) -> None:
    engine = with_fault(make_engine, "external.deleted")
    container = engine.knarr(*RUN, "-d", "busybox:latest", "sleep", "1236").line
    first = engine.supervisor_pid()
    try:
        engine.knarr("kill", container, check=False)  # the answer may be lost
        until(lambda: supervisor(engine) != first)
        assert (engine.exec_root / "external").exists()
    finally:
        # Every supervisor of this engine would die there again.
        engine.kill9()
        del engine.env["KNARR_FAULT"]
    until(lambda: not leaks.processes(engine.exec_root))
    engine.start()
    until(lambda: nothing_is_left(engine))
    assert engine.get(f"/containers/{container}/json")["State"]["ExitCode"] == 137


def test_cleaning_up_takes_its_time_and_nobody_waits(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """The next supervisor serves while a slow runtime removes what a killed start has left."""
    program, gate = tmp_path / "slow", tmp_path / "gate"
    script = f'case "$*" in *" delete "*) until [ -e {gate} ]; do sleep 0.1; done;; esac'
    program.write_text(f'#!/bin/sh\n{script}\nexec {probes.find_program("runc")} "$@"\n')
    program.chmod(0o755)
    fault = {"KNARR_FAULT": "external.created"}
    engine = make_engine("--add-runtime", f"slow={program}", env=fault)
    create = ["create", "--network", "none", "--runtime", "slow", "busybox:latest", "sleep", "1238"]
    container = engine.knarr(*create).line
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(engine.api, "POST", f"/containers/{container}/start")
        until((engine.exec_root / "external").exists)
        other = ["run", "--rm", "--network", "none", "busybox:latest", "echo", "other"]
        until(lambda: engine.knarr(*other, check=False).line == "other")
        assert (engine.exec_root / "external").exists()
        gate.touch()
        assert starting.result(60)[0] == 503
    until(lambda: nothing_is_left(engine))


def test_runtime_that_is_gone_at_the_end(
    make_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    """What it has made is removed without it."""
    program = tmp_path / "runtime"
    program.symlink_to(probes.find_program("runc") or "")
    engine = make_engine("--add-runtime", f"mine={program}", "--default-runtime", "mine")
    run = ["run", "-d", "--network", "none", "busybox:latest"]
    container = engine.knarr(*run, "sleep", "1237").line
    assert engine.get(f"/containers/{container}/json")["HostConfig"]["Runtime"] == "mine"
    assert (engine.exec_root / "external" / container / "rootfs/bin").exists()
    program.unlink()
    engine.knarr("stop", "-t", "60", container)  # it cannot be asked to end, only killed
    assert engine.get(f"/containers/{container}/json")["State"]["ExitCode"] == 137
    engine.knarr("rm", container)
    until(lambda: nothing_is_left(engine))
    assert "1237" not in running()
    assert "no such file or directory" in (engine.exec_root / "supervisor.log").read_text()


def test_container_whose_runtime_is_not_configured_any_more(
    make_engine: Callable[..., Engine],
) -> None:
    engine = with_fault(make_engine, "none")
    container = engine.knarr("create", "--runtime", "runc", "busybox:latest").line
    engine.terminate()
    engine.options = ()
    engine.start()
    done = engine.knarr("start", container, check=False)
    assert "unknown or invalid runtime name: runc" in done.err


def running() -> str:
    """The command lines of all processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(line for line in found if line.startswith("sleep"))

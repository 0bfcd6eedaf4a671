"""Restart policies and health checks over ``kill -9`` of the engine and of the supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import leaks
from support.engine import Engine
from support.waiting import until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

RUN = ("run", "-d", "--network", "none", "--name")
OFTEN = ("--health-interval", "200ms", "--health-retries", "1000")


def kill_engine(engine: Engine) -> None:
    engine.kill9()
    engine.start()


def kill_supervisor(engine: Engine) -> None:
    before = engine.supervisor_pid()
    os.kill(before, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{before}").exists())


def kill_both(engine: Engine) -> None:
    os.kill(engine.supervisor_pid(), signal.SIGKILL)
    kill_engine(engine)


KILLS = pytest.mark.parametrize("kill", [kill_engine, kill_supervisor, kill_both])


def found(engine: Engine, name: str) -> Any:
    return engine.get(f"/containers/{name}/json")


def count(engine: Engine, name: str) -> int:
    return int(found(engine, name)["RestartCount"])


def streak(engine: Engine, name: str) -> int:
    health = found(engine, name)["State"]["Health"] or {}
    return int(health["FailingStreak"])


def pids(engine: Engine, name: str, command: str) -> list[str]:
    """Those of the processes of a container that are called like this."""
    table = engine.get(f"/containers/{name}/top?ps_args=-o%20pid,args")["Processes"]
    return [pid for pid, words in table if words == command]


@KILLS
def test_state_goes_on(make_engine: Callable[..., Engine], kill: Callable[[Engine], None]) -> None:
    engine = make_engine()
    engine.knarr(*RUN, "loop", "--restart", "always", "busybox", "sh", "-c", "exit 3")
    engine.knarr(*RUN, "ill", "--health-cmd", "false", *OFTEN, "busybox", "sleep", "300")
    engine.knarr(*RUN, "kept", "--restart", "unless-stopped", "busybox", "sleep", "300")
    pid = found(engine, "kept")["State"]["Pid"]
    until(lambda: count(engine, "loop") >= 3)
    until(lambda: streak(engine, "ill") >= 2)
    time.sleep(0.2)  # what is known is stored a moment later
    restarts, failures = count(engine, "loop"), streak(engine, "ill")
    kill(engine)
    assert restarts <= count(engine, "loop") <= restarts + 1
    assert streak(engine, "ill") >= failures - 1
    assert len(found(engine, "ill")["State"]["Health"]["Log"]) >= 2
    until(lambda: count(engine, "loop") > restarts)
    until(lambda: streak(engine, "ill") > failures)
    assert found(engine, "kept")["State"]["Pid"] == pid
    engine.knarr("stop", "-t", "0", "loop", "ill", "kept")
    started = found(engine, "loop")["State"]["StartedAt"]
    kill(engine)
    for name in ("ill", "kept"):
        assert found(engine, name)["State"]["Status"] == "exited"
    if kill is kill_supervisor:
        assert found(engine, "loop")["State"]["Status"] == "exited"
    else:  # as in Docker: the policy always counts again when the engine starts
        until(lambda: found(engine, "loop")["State"]["StartedAt"] > started)


@KILLS
def test_a_check_under_way_is_not_left_behind(
    make_engine: Callable[..., Engine], kill: Callable[[Engine], None]
) -> None:
    engine = make_engine()
    line = ("--health-cmd", "exec sleep 4323", "--health-interval", "200ms")
    engine.knarr(*RUN, "slow", *line, "--health-timeout", "60s", "busybox", "sleep", "300")
    before = until(lambda: pids(engine, "slow", "sleep 4323"))
    kill(engine)
    if kill is kill_supervisor:
        assert pids(engine, "slow", "sleep 4323") == before, "the same engine still waits for it"
        return
    until(lambda: pids(engine, "slow", "sleep 4323") not in ([], before))
    assert len(pids(engine, "slow", "sleep 4323")) == 1
    assert found(engine, "slow")["State"]["Health"]["Status"] == "starting"


def test_an_engine_that_ends_leaves_no_check(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    line = ("--health-cmd", "exec sleep 4324", "--health-interval", "200ms")
    engine.knarr(*RUN, "slow", *line, "busybox", "sleep", "300")
    engine.knarr(*RUN, "loop", "--restart", "on-failure", "busybox", "sh", "-c", "exit 3")
    ((pid,)) = until(lambda: pids(engine, "slow", "sleep 4324"))
    until(lambda: count(engine, "loop") >= 3)
    assert engine.terminate() == 0
    until(lambda: not Path(f"/proc/{pid}").exists())
    engine.start()
    restarts = count(engine, "loop")
    assert restarts >= 3
    until(lambda: count(engine, "loop") > restarts)


def test_an_unhealthy_one_is_started_anew_though_the_engine_dies(
    make_engine: Callable[..., Engine],
) -> None:
    engine = make_engine()
    line = ("--health-cmd", "test -e /well", "--health-interval", "200ms", "--health-retries", "1")
    script = "trap '' TERM; while :; do sleep 0.1; done"
    engine.knarr(
        *(*RUN, "ill", *line, "--health-on-failure", "restart", "--stop-timeout", "2"),
        *("busybox", "sh", "-c", script),
    )
    state = found(engine, "ill")["State"]
    until(lambda: found(engine, "ill")["State"]["Health"]["Status"] == "unhealthy")
    time.sleep(0.2)  # what is known is stored a moment later
    engine.kill9()
    os.kill(state["Pid"], signal.SIGKILL)
    engine.start()
    until(lambda: count(engine, "ill") >= 1)
    until(lambda: found(engine, "ill")["State"]["Running"])
    engine.knarr("rm", "-f", "ill")


def boot(engine: Engine) -> None:
    """Let everything that runs end at once and forget it, as when the machine is switched off."""
    running = [each["Id"] for each in engine.get("/containers/json")]
    processes = [found(engine, each)["State"]["Pid"] for each in running]
    supervisor = engine.supervisor_pid()
    engine.kill9()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{supervisor}").exists())
    for pid in processes:
        if pid:
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not Path(f"/proc/{pid}").exists())
    for point in reversed(leaks.mounts(engine.exec_root)):
        subprocess.run(["umount", point], check=True)
    shutil.rmtree(engine.exec_root)
    for group in leaks.cgroups(engine.exec_root):
        Path(group).rmdir()
    engine.start()


def test_policies_after_a_start_of_the_machine(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    expected = {}
    for policy in ("no", "always", "unless-stopped", "on-failure"):
        for by_hand in (False, True):
            name = policy + ("-stopped" if by_hand else "")
            engine.knarr(*RUN, name, "--restart", policy, "busybox", "sleep", "300")
            if by_hand:
                engine.knarr("stop", "-t", "0", name)
            expected[name] = policy == "always" or (policy != "no" and not by_hand)
    engine.knarr("create", "--network", "none", "--name", "new", "--restart", "always", "busybox")
    expected["new"] = False
    for number in range(3):  # of different ids, some are taken up before the one that they join
        line = ("--restart", "always", "busybox", "sleep", "300")
        engine.knarr(*RUN[:2], "--network", "container:always", "--name", f"joined{number}", *line)
        expected[f"joined{number}"] = True
    boot(engine)
    wanted = {name for name, runs in expected.items() if runs}

    def running() -> set[str]:
        return {each["Names"][0][1:] for each in engine.get("/containers/json")}

    until(lambda: running() == wanted)
    until(lambda: all(found(engine, name)["State"]["Pid"] for name in wanted))
    assert count(engine, "always") == 0


def test_a_tight_loop_is_cheap(make_engine: Callable[..., Engine]) -> None:
    """A restart costs no more than some starts do: nothing grows or spins between them."""
    engine = make_engine()

    def used() -> float:
        total = 0
        for pid in (engine.pid, engine.supervisor_pid()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(each) for each in fields[11:15])
        return total / os.sysconf("SC_CLK_TCK")

    engine.knarr("run", "--rm", "--network", "none", "busybox", "true")
    before = used()
    engine.knarr(*RUN, "loop", "--restart", "always", "busybox", "false")
    until(lambda: count(engine, "loop") >= 5)
    assert used() - before < 5 * 0.5, "seconds of CPU, generously"

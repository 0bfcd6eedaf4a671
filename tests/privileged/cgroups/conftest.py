"""Cgroups of the tests, with real members, all gone after each test."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knarr.runtime.cgroups import Cgroup, Layout, detect

PARENT = f"/knarr-test-{os.getpid()}"
_numbers = itertools.count()


@pytest.fixture(scope="session", params=["host", "legacy"])
def layout(request: pytest.FixtureRequest) -> Layout:
    """The layout of this host and, on a hybrid host, also that of one without v2."""
    found = detect()
    if request.param == "host":
        return found
    if found.mode != "hybrid" or "memory" not in found.legacy:
        pytest.skip("not a hybrid host")
    return found._replace(unified="", controllers=frozenset())


@pytest.fixture
def cgroup(layout: Layout) -> Iterator[Cgroup]:
    """A cgroup that does not exist yet; after the test nothing of it or its parent is left."""
    made = Cgroup(f"{PARENT}/{next(_numbers)}", layout)
    yield made
    with contextlib.suppress(OSError):
        made.kill(signal.SIGKILL)
    made.remove()
    Cgroup(PARENT, layout).remove()
    points = [point for point in (detect().unified, *layout.legacy.values()) if point]
    assert not [point for point in points if Path(point + PARENT).exists()]


@pytest.fixture
def member(cgroup: Cgroup) -> Iterator[Callable[..., int]]:
    """``member(function)`` runs it in a new process inside the cgroup and returns the pid.

    The process ends with what the function returns, or with 99 when it raises. It is joined as
    the runtime does it: the new process writes "0" to each of the join paths.
    """
    pids: list[int] = []

    def start(function: Callable[[], int | None]) -> int:
        ready, joined = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                for path in cgroup.join_paths():
                    Path(path).write_text("0")
                os.write(joined, b".")
                status = function() or 0
            finally:
                os._exit(status)
        os.close(joined)
        pids.append(pid)
        try:
            assert os.read(ready, 1), "the process could not join"
        finally:
            os.close(ready)
        return pid

    yield start
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(Exception):
                cgroup.thaw()
            os.waitpid(pid, 0)


@pytest.fixture
def ended() -> Callable[[int], int]:
    """``ended(pid)`` waits and gives the exit status as a shell does: 128+signal for a signal."""

    def wait(pid: int) -> int:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    return wait

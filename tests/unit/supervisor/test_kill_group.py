"""An exec is killed with its process group, on kernels that do it at once and on older ones."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from knarr.supervisor import task

if TYPE_CHECKING:
    from collections.abc import Iterator

SEND = signal.pidfd_send_signal


def ends(pidfd: int, seconds: float = 10.0) -> bool:
    """Whether a process ends in time."""
    return bool(select.select([pidfd], [], [], seconds)[0])


@pytest.fixture
def family() -> Iterator[tuple[int, int, int]]:
    """The pidfds of a process that leads a group and of its child, and the child's number."""
    command = ["sh", "-c", "sleep 300 & echo $!; wait; exec sleep 300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as leader:
        assert leader.stdout
        number = int(leader.stdout.readline())
        parent, child = os.pidfd_open(leader.pid), os.pidfd_open(number)
        yield parent, child, number
        os.killpg(leader.pid, signal.SIGKILL)
        os.close(parent)
        os.close(child)


@pytest.fixture(params=["now", "before 6.9"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's kernel, or one that does not know process groups here."""

    def send(pidfd: int, number: int, *more: Any) -> None:
        if more:
            raise OSError(errno.EINVAL, "Invalid argument")
        SEND(pidfd, number)

    if request.param != "now":
        monkeypatch.setattr(task.signal, "pidfd_send_signal", send)


@pytest.mark.usefixtures("_kernel")
def test_the_group_of_a_leader_goes_with_it(family: tuple[int, int, int]) -> None:
    parent, child, _ = family
    task._kill_group(parent, os.getpgid(family[2]))
    assert ends(parent)
    assert ends(child)

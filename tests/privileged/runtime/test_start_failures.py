"""A start that fails says which step, and leaves nothing; the fixture looks for leftovers."""

from __future__ import annotations

import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from knarr.errors import AlreadyExistsError, InternalError, KnarrError, ResourceExhaustedError
from knarr.runtime import lifecycle
from knarr.runtime.failure import CommandNotExecutableError, CommandNotFoundError
from support.boxes import Box

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def put(box: Box, path: str, content: bytes, mode: int = 0o755) -> None:
    target = box.upper / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(mode)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        ("nothing", CommandNotFoundError, 'exec: "nothing": executable file not found in $PATH'),
        ("/no/thing", CommandNotFoundError, 'exec: "/no/thing": stat /no/thing: no such file or'),
        ("/etc/passwd/x", CommandNotFoundError, "no such file or directory"),
        ("/etc", CommandNotExecutableError, 'exec: "/etc": permission denied'),
        ("/opt/plain", CommandNotExecutableError, 'exec: "/opt/plain": permission denied'),
        ("plain", CommandNotExecutableError, 'exec: "plain": permission denied'),
        ("/opt/garbage", CommandNotExecutableError, "exec /opt/garbage: exec format error"),
        ("/opt/orphan", CommandNotFoundError, "exec /opt/orphan: no such file or directory"),
    ],
)
def test_program_that_cannot_be_executed(
    box: Box, program: str, error: type[KnarrError], message: str, plain: bool
) -> None:
    put(box, "opt/plain", b"#!/bin/sh\n", 0o644)
    put(box, "opt/garbage", b"garbage")
    put(box, "opt/orphan", b"#!/no/such/interpreter\n")
    box.process["env"] = ["PATH=/bin:/opt"]
    if plain:  # without a pid namespace the child has a copy of our memory and reports by message
        kinds = box.spec["linux"]["namespaces"]
        box.spec["linux"]["namespaces"] = [each for each in kinds if each["type"] != "pid"]
    with pytest.raises(error) as caught:
        box.start(program)
    assert message in caught.value.message
    assert caught.value.exit_code == (127 if error is CommandNotFoundError else 126)


def test_missing_bind_source_is_named(box: Box, tmp_path: Path) -> None:
    box.mount("/x", tmp_path / "missing", "bind")
    with pytest.raises(InternalError, match=r"mount .*/missing on /x: no such file or directory"):
        box.start()


def test_unknown_filesystem_is_named(box: Box) -> None:
    box.mount("/x", "x", kind="moonfs")
    with pytest.raises(InternalError, match="mount moonfs on /x: no such device"):
        box.start()


def test_bad_option_of_a_filesystem_is_named(box: Box) -> None:
    box.mount("/x", "x", "size=banana", kind="tmpfs")
    with pytest.raises(InternalError, match="mount tmpfs on /x: invalid argument"):
        box.start()


def test_missing_layer_is_an_error_of_the_root(box: Box) -> None:
    box.rootfs = (box.rootfs[0]._replace(lower=("/no/layer",)),)
    with pytest.raises(InternalError, match="mount overlay on rootfs: no such file or directory"):
        box.start()


def test_id_in_use(box: Box) -> None:
    box.start("sleep", "100")
    with pytest.raises(AlreadyExistsError, match="already exists"):
        box.start("true")


def test_descriptors_run_out(box: Box) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    hogs = []
    try:
        while not hogs or hogs[-1] < 98:
            hogs.append(os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(ResourceExhaustedError, match="too many open files"):
            box.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for hog in hogs:
            os.close(hog)


def test_memory_limit_too_small_for_the_start_hurts_nobody_else(box: Box) -> None:
    box.spec["linux"]["resources"] = {"memory": {"limit": 4096}}
    if not lifecycle.creation.layout().legacy.get("memory"):
        pytest.skip("v2 takes a limit of a page only together with a process that is reclaimed")
    with pytest.raises(KnarrError, match="unable to start container process"):
        box.start()


def test_memory_limit_reached_after_exec_kills_only_the_container(box: Box) -> None:
    box.spec["linux"]["resources"] = {"memory": {"limit": 8 << 20, "swap": 8 << 20}}
    result = box.run("sh", "-c", "x=a; while true; do x=$x$x; done")
    assert result.code == 137


def test_limit_of_processes_that_allows_none(box: Box) -> None:
    box.spec["linux"]["resources"] = {"pids": {"limit": 1}}
    result = box.run("sh", "-c", "sleep 0; echo two")
    assert result.code != 0
    assert "can't fork" in result.err


def test_thread_that_starts_dies_with_its_process(box: Box, tmp_path: Path) -> None:
    """A process that is killed while its child sets up a container leaves no half-made container.

    The child hangs in the open of a FIFO on the host, as in a mount of a server that is gone.
    """
    os.mkfifo(tmp_path / "namespace")
    for each in box.spec["linux"]["namespaces"]:
        if each["type"] == "uts":
            each["path"] = str(tmp_path / "namespace")
    parent = os.fork()
    if parent == 0:
        threading.Thread(target=box.start, args=("sleep", "100")).start()
        signal.pause()
    (tmp_path / "namespace").chmod(0o600)
    while not (children := descendants(parent)):
        pass
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    for pid in children:
        while Path(f"/proc/{pid}").exists():
            pass
    lifecycle.delete(box.state_root, box.id)


def descendants(pid: int) -> list[str]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return [each for each in found if "fifo_open" in wchan(each)]


def wchan(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stack").read_text()
    except OSError:
        return ""

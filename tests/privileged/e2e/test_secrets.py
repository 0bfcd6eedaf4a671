"""A secret that is given in the environment is nowhere but in the process that it is for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

RUN = "hidden-in-run-5f1c"
EXEC = "hidden-in-exec-77ab"


def command_lines() -> str:
    """What ps(1) could show of any process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" "))
    return b"\n".join(found).decode(errors="replace")


@pytest.mark.parametrize("client", ["docker", "knarr"])
def test_secret_is_in_no_log_and_no_command_line(
    make_engine: Callable[..., Engine], client: str
) -> None:
    engine = make_engine("-l", "debug")
    program = engine.docker if client == "docker" else engine.knarr
    # Named without a value, so that the client's own command line does not have it either.
    program(
        *("run", "-d", "--name", "keeper", "-e", "SECRET", "--network", "none"),
        *("busybox", "sleep", "1000"),
        env={"SECRET": RUN},
    )
    assert program("exec", "keeper", "env").out.count(RUN) == 1
    script = 'echo "$SECRET" > /dev/shm/got; sleep 1000'
    program("exec", "-d", "-e", "SECRET", "keeper", "sh", "-c", script, env={"SECRET": EXEC})
    wait = "until grep -q . /dev/shm/got; do sleep 0.05; done; cat /dev/shm/got"
    assert program("exec", "keeper", "sh", "-c", wait).line == EXEC
    shown = command_lines() + program("top", "keeper").out
    shown += program(
        "exec", "-e", "SECRET", "keeper", "false", env={"SECRET": EXEC}, check=False
    ).err
    program("exec", "-e", "SECRET", "keeper", "nosuch", env={"SECRET": EXEC}, check=False)
    program("stop", "-t", "0", "keeper")
    logs = engine.log.read_text(errors="replace")
    for secret in (RUN, EXEC):
        assert secret not in shown
        assert secret not in logs
    # The environment of an exec is remembered nowhere; files that hold a container's are root's.
    for root in (engine.data_root, engine.exec_root):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink() and "/layers/" not in str(path):
                content = path.read_bytes()
                assert EXEC.encode() not in content, path
                if RUN.encode() in content:
                    assert open_to_all(path, root) is False, path


def open_to_all(path: Path, root: Path) -> bool:
    """Whether somebody who is not root could read a file below ``root``."""
    folders = [each for each in path.parents if each.is_relative_to(root)]
    return bool(path.stat().st_mode & 0o004) and all(each.stat().st_mode & 1 for each in folders)

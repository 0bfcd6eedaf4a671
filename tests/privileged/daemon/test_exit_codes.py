"""How the engine's process ends, as docs/cli.md says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.engine import Engine

pytestmark = pytest.mark.needs_root


def daemon(tmp_path: Path, *options: str) -> tuple[int, str]:
    """Run an engine that is not to come up; its exit code and the last line that it says."""
    roots = ("--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/run")
    done = subprocess.run(
        [sys.executable, "-m", "knarr.daemon", *roots, *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--nosuch"], 2, "unrecognized arguments: --nosuch"),
        (["--log-level", "nosuch"], 2, "invalid choice: 'nosuch'"),
        (["-H", "ftp://x"], 125, 'invalid host "ftp://x"'),
        (["-H", "unix://relative"], 125, 'invalid host "unix://relative"'),
        (["--config", "/nosuch"], 125, 'read configuration "/nosuch": no such file or directory'),
        (["-H", "unix:///nosuch/dir/x.sock"], 1, "unix socket /nosuch/dir/x.sock: no such file"),
        (["--data-root", "/proc/nosuch"], 1, "knarr daemon: /proc/nosuch: no such file"),
    ],
    ids=["flag", "choice", "host", "relative-host", "configuration", "socket-folder", "data-root"],
)
def test_engine_that_cannot_start(tmp_path: Path, options: list[str], code: int, text: str) -> None:
    found, line = daemon(tmp_path, *options)
    assert found == code, line
    assert text in line
    assert not Path("/nosuch").exists()


@pytest.mark.needs_overlay
def test_engine_that_ends_and_one_beside_it(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(busybox=False)
    roots = ("--data-root", str(engine.data_root), "-H", f"unix://{engine.base}/other.sock")
    code, line = daemon(engine.base, *roots)
    assert code == 1
    assert "data root" in line
    assert engine.terminate() == 0

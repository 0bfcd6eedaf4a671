"""kill -9 at every stage of load, import and rmi: the next start has all of it or nothing."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.image_home import Home, config, layer, oci_archive, sha

pytestmark = pytest.mark.needs_root

A, B = layer({"a": b"a" * 3000}), layer({"b": b"b"})
RAW = config(A, B)
PROGRAM = """
import io, sys
from pathlib import Path
from knarr.snapshots import open_stores
from support.image_home import Home
root, run, action, *arguments = sys.argv[1:]
layers, _ = open_stores(Path(root), Path(run), backend="directory")
home = Home(Path(root), layers)
data = sys.stdin.buffer.read()
if action == "load":
    home.load(data)
elif action == "import":
    home.images.import_(io.BytesIO(data), reference="x:1")
else:
    home.remove("x:1")
home.close()
"""


def run(tmp_path: Path, action: str, data: bytes, fault: str | None) -> int:
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    if fault:
        env["KNARR_FAULT"] = fault
    command = [sys.executable, "-c", PROGRAM, tmp_path / "home", tmp_path / "run-home", action]
    (tmp_path / "home").mkdir(exist_ok=True)
    return subprocess.run(command, input=data, env=env, check=False).returncode


def packed() -> bytes:
    return oci_archive((RAW, [gzip.compress(A), B]), names=["x:1"])


@pytest.mark.parametrize(
    ("fault", "is_there"),
    [
        ("load.layer-staged", False),
        ("load.layer-staged:2", False),
        ("content.staged", False),
        ("content.staged:2", False),
        ("content.staged:3", False),
        ("load.blobs-done", False),
        ("load.recorded", True),
    ],
)
def test_killed_while_loading(open_home, tmp_path, fault, is_there):
    assert run(tmp_path, "load", packed(), fault) == -signal.SIGKILL
    home: Home = open_home(backend="directory")
    home.images.recover()
    assert bool(home.images.list({})) is is_there
    if is_there:
        assert home.images.resolve("x:1").id == sha(RAW)
        assert home.save("x:1")
    else:
        home.assert_empty()
    # The same load works now, and everything goes with the image.
    home.load(packed())
    home.remove("x:1")
    home.assert_empty()


def test_killed_while_importing(open_home, tmp_path):
    assert run(tmp_path, "import", A, "load.blobs-done") == -signal.SIGKILL
    home: Home = open_home(backend="directory")
    home.images.recover()
    home.assert_empty()


def test_killed_while_removing(open_home, tmp_path):
    assert run(tmp_path, "load", packed(), None) == 0
    assert run(tmp_path, "remove", b"", "rmi.recorded") == -signal.SIGKILL
    home: Home = open_home(backend="directory")
    assert home.images.list({}) == []
    assert home.layers.all() != []
    home.images.recover()
    home.assert_empty()

"""Every block of Python in docs/python.md runs as it stands, and is typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.engine import Engine

ROOT = Path(__file__).parents[3]
PAPER = ROOT / "docs/python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAPER.read_text(), re.MULTILINE | re.DOTALL)


def heading(block: str) -> str:
    """The last heading before a block."""
    before = PAPER.read_text().partition(block)[0]
    return re.findall(r"^#+ (.*)$", before, re.MULTILINE)[-1].lower().replace(" ", "-")


@pytest.mark.parametrize(
    "block", BLOCKS, ids=[f"{n}-{heading(block)}" for n, block in enumerate(BLOCKS)]
)
def test_block_runs(block: str, engine: Engine, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(block)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KNARR_", "DOCKER_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"KNARR_HOST": engine.host},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    left = [item["Names"] for item in engine.get("/containers/json?all=1")]
    assert not left


def test_blocks_are_typed(tmp_path: Path) -> None:
    for number, block in enumerate(BLOCKS):
        (tmp_path / f"block{number}.py").write_text(block)
    command = [sys.executable, "-m", "mypy", "--strict", *sorted(tmp_path.glob("*.py"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

"""The linters and type checks are tests: what they refuse does not land."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMMANDS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "layers": ["lint-imports"],
    "spelling": ["codespell", "src", "tests", "docs", "scripts", "benchmarks", "README.md"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_linter_finds_nothing(name: str) -> None:
    program, *args = COMMANDS[name]
    done = subprocess.run([BIN / program, *args], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

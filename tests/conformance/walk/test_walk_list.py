"""The list of differences is complete, without dead entries, and told in the papers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support.walk import CONTAINER, DIFFERENCES

HERE = Path(__file__).parent
PAPER = HERE.parents[2] / "docs/differences.md"


def named() -> set[str]:
    """Every text in the walks that could name a difference."""
    found = set(CONTAINER)
    for path in HERE.glob("test_walk_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_difference_is_shown_by_a_walk() -> None:
    assert not set(DIFFERENCES) - named()


def test_the_paper_tells_every_difference_and_no_other() -> None:
    told = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAPER.read_text(), re.MULTILINE))
    assert told == {name: one.reason for name, one in DIFFERENCES.items()}

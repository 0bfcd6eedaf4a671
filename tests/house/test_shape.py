"""The shape of the house: file lengths, names, words that do not belong, links in the papers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 600
BAD_NAMES = {"util.py", "utils.py", "helpers.py", "common.py", "misc.py"}


def tracked() -> list[Path]:
    """Every file that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for line in done.stdout.splitlines() if (path := ROOT / line).is_file()]


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix in {".py", ".c"}]


def test_no_file_is_longer_than_the_limit() -> None:
    long = {str(path): n for path in sources() if (n := len(path.read_text().splitlines())) > LIMIT}
    assert not long


def test_no_file_is_a_grab_bag() -> None:
    assert not [path for path in sources() if path.name in BAD_NAMES]


def test_every_package_says_what_it_is() -> None:
    packages = (ROOT / "src/knarr").rglob("__init__.py")
    assert not [path for path in packages if not path.read_text().startswith('"""')]


@pytest.mark.parametrize(
    "word", ["/work/main", "/work/shared", "/work/venv", "TODO", "FIXME", "XXX"]
)
def test_word_is_not_in_the_tree(word: str) -> None:
    texts = [path for path in tracked() if path.suffix in {".py", ".c", ".md", ".toml", ".sh"}]
    texts.remove(Path(__file__))
    found = [str(path) for path in texts if word in path.read_text(errors="replace")]
    assert not found


def test_links_in_the_papers_lead_somewhere() -> None:
    broken = []
    for paper in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", paper.read_text())
        broken += [f"{paper.name}: {to}" for to in targets if not (paper.parent / to).exists()]
    assert not broken

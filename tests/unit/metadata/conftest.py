from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.metadata import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "knarr.db")
    yield found
    found.close()

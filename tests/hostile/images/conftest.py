from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.image_home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home")
    yield found
    found.close()

"""What ``HEAD /containers/{id}/archive`` says."""

from __future__ import annotations

import json
import stat

import pytest

from knarr.api.archives import Committed, PathStat, go_mode
from knarr.api.message import encode


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFREG | 0o4755, 1 << 23 | 0o755),
        (stat.S_IFREG | 0o2755, 1 << 22 | 0o755),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
        (stat.S_IFBLK | 0o600, 1 << 26 | 0o600),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
        (stat.S_IFSOCK | 0o600, 1 << 24 | 0o600),
    ],
)
def test_modes_in_the_form_of_go(mode: int, expected: int) -> None:
    assert go_mode(mode) == expected


def test_names_on_the_wire() -> None:
    found = json.loads(encode(PathStat(name="f", size=3, mode=420, mtime="2023-11-14T22:13:20Z")))
    expected = {"name": "f", "size": 3, "mode": 420, "mtime": "2023-11-14T22:13:20Z"}
    assert found == {**expected, "linkTarget": ""}
    assert json.loads(encode(Committed(id="sha256:x"))) == {"Id": "sha256:x"}

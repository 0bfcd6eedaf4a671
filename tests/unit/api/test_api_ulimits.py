from __future__ import annotations

import pytest

from knarr.api import ulimits
from knarr.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=5", ("nofile", 5, 5)),
        ("nofile=5:6", ("nofile", 5, 6)),
        ("core=-1", ("core", -1, -1)),
        ("core=0:-1", ("core", 0, -1)),
    ],
)
def test_parse(text: str, limit: tuple[str, int, int]) -> None:
    assert ulimits.parse(text) == limit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nofile", "invalid ulimit argument: nofile"),
        ("as=5", "invalid ulimit type: as"),
        ("nofile=6:5", "must be less than or equal to hard limit: 6 > 5"),
        ("nofile=-1:5", "hard limit: soft: -1 (unlimited), hard: 5"),
        ("nofile=1:2:3", "too many limit value arguments - 1:2:3"),
        ("nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_bad_texts(text: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ulimits.parse(text)
    assert words in caught.value.message


def test_what_only_the_api_takes() -> None:
    ulimits.check("as", 1, -1)
    with pytest.raises(InvalidArgumentError, match="invalid ulimit type: nosuch"):
        ulimits.check("nosuch", 1, 1)

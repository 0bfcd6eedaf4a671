from __future__ import annotations

import pytest

from knarr.api import filters
from knarr.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("null", {}),
        ("{}", {}),
        ('{"label":{"a=b":true,"c":true}}', {"label": ["a=b", "c"]}),
        (
            '{"label":["a=b"],"status":["exited","dead"]}',
            {"label": ["a=b"], "status": ["exited", "dead"]},
        ),
        ('{"name":{"x":false}}', {"name": ["x"]}),
        ('{"name":null}', {"name": []}),
    ],
)
def test_both_forms(text: str, expected: dict[str, list[str]]) -> None:
    assert filters.parse(text) == expected


@pytest.mark.parametrize("text", ["[]", '{"a":1}', "{", '{"a":[1]}', "x", '{"a":"b"}'])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^invalid filter$"):
        filters.parse(text)


def test_unknown_name_is_refused() -> None:
    filters.require_known({"label": ["x"]}, {"label", "name"})
    with pytest.raises(InvalidArgumentError, match=r"^invalid filter 'nosuch'$"):
        filters.require_known({"nosuch": ["x"]}, {"label", "name"})


def test_boolean() -> None:
    assert filters.boolean({}, "dangling", default=True)
    assert not filters.boolean({"dangling": ["0"]}, "dangling", default=True)
    assert filters.boolean({"dangling": ["true"]}, "dangling", default=False)
    for bad in (["yes"], ["true", "false"]):
        with pytest.raises(InvalidArgumentError, match=r"invalid filter 'dangling=\["):
            filters.boolean({"dangling": bad}, "dangling", default=True)


def test_labels() -> None:
    labels = {"a": "b", "c": "", "d": "x=y"}
    assert filters.match_labels(["a", "a=b", "c", "c=", "d=x=y"], labels)
    assert not filters.match_labels(["a=c"], labels)
    assert not filters.match_labels(["a", "z"], labels)
    assert filters.match_labels([], None)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["b"], "ab b"),
        (["^b"], "b"),
        (["[", "b$"], "[ ab b"),
        (["a", "["], "[ a ab"),
        ([], ""),
    ],
)
def test_matcher(values: list[str], found: str) -> None:
    matches = filters.matcher(values)
    assert [text for text in ("[", "a", "ab", "b") if matches(text)] == found.split()

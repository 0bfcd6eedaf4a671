from __future__ import annotations

import pytest

from knarr.errors import InvalidArgumentError
from knarr.oci import platform
from knarr.oci.platform import Platform


def of(text: str) -> Platform:
    return platform.parse(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("LINUX/AMD64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("macos/arm64", "darwin/arm64"),
    ],
)
def test_platforms_are_normalized(text, normal):
    assert str(of(text)) == normal


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "linux/a b", "nonsense"])
def test_bad_platforms_are_refused(text):
    with pytest.raises(InvalidArgumentError):
        of(text)


@pytest.mark.parametrize(
    ("wanted", "offered", "taken"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/386", "linux/amd64"], 1),
        ("linux/amd64", ["linux/386", "linux/arm64"], 0),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/s390x", ["linux/amd64", "linux/s390x"], 1),
        ("linux/amd64", [], None),
    ],
)
def test_the_best_platform_is_taken(wanted, offered, taken):
    assert platform.best([of(each) for each in offered], of(wanted)) == taken


def test_an_unnamed_platform_is_the_last_resort():
    assert platform.best([None, of("linux/amd64")], of("linux/amd64")) == 1
    assert platform.best([of("linux/arm64"), None], of("linux/amd64")) == 1


def test_the_host_is_normal():
    assert platform.host() == platform.host().normalized()
    assert platform.runnable(platform.host())[0] == platform.host()

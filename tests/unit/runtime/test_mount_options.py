from __future__ import annotations

import pytest

from knarr.runtime.options import (
    ATIME,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    NOATIME,
    NODEV,
    NOEXEC,
    NOSUID,
    RDONLY,
    STRICTATIME,
    Attributes,
    parse,
)


def test_attributes_and_filesystem_options_are_told_apart() -> None:
    parsed = parse(("nosuid", "noexec", "nodev", "size=65536k", "mode=755", "newinstance"))
    assert parsed.top == Attributes(set=NOSUID | NOEXEC | NODEV)
    assert parsed.data == (("size", "65536k"), ("mode", "755"), ("newinstance", None))
    assert not parsed.bind


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("ro", "rw"), Attributes(set=0, clear=RDONLY)),
        (("rw", "ro"), Attributes(set=RDONLY, clear=0)),
        (("noatime",), Attributes(set=NOATIME, clear=ATIME)),
        (("noatime", "strictatime"), Attributes(set=STRICTATIME, clear=ATIME)),
        (("noatime", "relatime"), Attributes(set=0, clear=ATIME)),
        (("suid",), Attributes(clear=NOSUID)),
    ],
)
def test_later_options_override_earlier_ones(
    options: tuple[str, ...], expected: Attributes
) -> None:
    result = parse(options).top
    assert result.set == expected.set
    assert result.clear & ~result.set == expected.clear & ~expected.set


def test_propagation_and_recursion() -> None:
    assert parse(("rbind", "rprivate")).tree.propagation == MS_PRIVATE
    assert parse(("bind", "slave")).top.propagation == MS_SLAVE
    assert parse(("rbind", "rshared")).tree.propagation == MS_SHARED
    assert (parse(("bind",)).recursive, parse(("rbind",)).recursive) == (False, True)


def test_recursive_attributes_do_not_swallow_plain_ones() -> None:
    parsed = parse(("rbind", "rro", "ro", "relatime", "rnoexec"))
    assert parsed.tree.set == RDONLY | NOEXEC
    assert parsed.top.set == RDONLY
    assert parsed.data == ()


def test_options_without_meaning_are_dropped() -> None:
    assert parse(("defaults", "", "nofail")) == parse(())


def test_options_for_who_mounts() -> None:
    parsed = parse(("bind", "X-mount.subdir=a/b", "x-other=1", "X-knarr.mount-namespace=/ns"))
    assert (parsed.subdir, parsed.namespace, parsed.data) == ("a/b", "/ns", ())

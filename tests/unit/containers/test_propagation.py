from __future__ import annotations

from pathlib import Path

import pytest

from knarr.containers import propagation
from knarr.containers.record import MountKind, MountRecord
from knarr.errors import InvalidArgumentError

TABLE = rb"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw
23 22 0:5 / /private rw - tmpfs tmpfs rw
24 22 0:6 / /slave rw master:3 - tmpfs tmpfs rw
25 22 0:7 / /with\040blank rw - tmpfs tmpfs rw
26 23 0:8 / /private/below rw shared:9 master:3 - tmpfs tmpfs rw
""".lstrip()


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_bytes(TABLE)
    monkeypatch.setattr(propagation, "_MOUNTS", tmp_path / "mountinfo")


def bind(source: str, kind: str) -> MountRecord:
    return MountRecord(kind=MountKind.BIND, target="/x", source=source, propagation=kind)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/srv", "rshared"),
        ("/srv", "slave"),
        ("/private", "rprivate"),
        ("/private/below/x", "shared"),
        ("/slave/x", "rslave"),
        ("/privately", "rshared"),
    ],
)
def test_possible(source: str, kind: str) -> None:
    propagation.check(bind(source, kind))


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("/private/x", "rshared", "path /private/x is mounted on /private but it is not a shared"),
        ("/private", "rslave", "/private but it is not a shared or slave mount"),
        ("/slave", "shared", "path /slave is mounted on /slave but it is not a shared mount"),
        ("/with blank/a", "shared", "is mounted on /with blank but it is not a shared mount"),
    ],
)
def test_impossible(source: str, kind: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        propagation.check(bind(source, kind))
    assert words in caught.value.message

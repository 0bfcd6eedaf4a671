from __future__ import annotations

import pytest

from knarr.errors import InvalidArgumentError
from knarr.volumes import options


def test_what_a_volume_shows() -> None:
    assert options.source(None) is None
    assert options.source({"type": "", "device": ""}) is None
    assert options.source({"type": "none", "device": "/d", "o": "bind,ro"}) == options.Source(
        "bind", "/d", ("bind", "ro")
    )
    assert options.source({"type": "tmpfs", "device": "t"}) == options.Source("tmpfs", "t", ())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "none"}, 'missing required option: "device"'),
        ({"device": "/d"}, 'missing required option: "type"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"nosuch": "1"}, 'invalid option: "nosuch"'),
        ({"size": "1m"}, "quota size requested but no quota support"),
        (
            {"type": "none", "device": "/", "o": "bind,X-knarr.mount-namespace=/proc/1/ns/mnt"},
            'invalid mount option: "X-knarr.mount-namespace=/proc/1/ns/mnt"',
        ),
    ],
    ids=["type", "device", "o", "unknown", "size", "own"],
)
def test_bad_options(given: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        options.check("vol", given)
    assert caught.value.message == f"create vol: {words}"

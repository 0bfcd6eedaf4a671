"""Which mounts are made for another runtime."""

from __future__ import annotations

import pytest

from knarr.supervisor import ocimounts

from .test_ociprogram import facts

PLAIN = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/data", "type": "bind", "source": "/d", "options": ["rbind", "rro"]},
    {"destination": "/none", "type": "none", "source": "/d", "options": ["bind"]},
]


@pytest.mark.parametrize(
    ("mount", "access"),
    [
        (
            {
                "type": "bind",
                "source": "/v",
                "options": ["rbind", "rprivate", "rro", "X-mount.subdir=a"],
            },
            "ro",
        ),
        (
            {
                "type": "bind",
                "source": "/shm",
                "options": ["bind", "X-knarr.mount-namespace=/proc/1/ns/mnt"],
            },
            "rw",
        ),
        ({"type": "overlay", "source": "overlay", "options": ["lowerdir=/a:/b", "ro"]}, "ro"),
        ({"type": "nfs", "source": ":/export", "options": ["addr=192.0.2.1"]}, "rw"),
    ],
)
def test_what_a_runtime_might_not_know_is_made_for_it(mount: dict, access: str) -> None:
    wanted = {"mounts": [PLAIN[0], {"destination": "/here", **mount}, *PLAIN[1:]]}
    spec, made = ocimounts.split(wanted, "/place/mounts")
    assert spec["mounts"] == [
        PLAIN[0],
        {
            "destination": "/here",
            "type": "bind",
            "source": "/place/mounts/0",
            "options": ["rbind", "rprivate", access],
        },
        *PLAIN[1:],
    ]
    assert made == [{**mount, "destination": "/0"}]
    operations = ocimounts.operations(made, "/place/mounts", "/bundle", facts(0))
    assert "/place/mounts" in operations[-2].text + operations[-1].text + operations[0].text
    assert 'move_mount("/0")' in operations[-1].text or "/0" in operations[-1].what


def test_a_spec_that_everybody_knows_stays_as_it_is() -> None:
    wanted = {"mounts": PLAIN}
    spec, made = ocimounts.split(wanted, "/place/mounts")
    assert spec is wanted
    assert ocimounts.operations(made, "/place/mounts", "/bundle", facts(0)) == []

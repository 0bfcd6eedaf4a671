"""``docker image``: tag, list, inspect, save, load, import, remove, prune."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support import images
from support.walk import Walk, ask, docker, fields

ROOT = images.layer({"bin": ("dir", 0o755), "bin/x": ("exe", b"#!/bin/sh\n")})
SECOND = images.layer({"etc": ("dir", 0o755), "etc/f": ("file", b"content")})
CONFIG = {
    "Env": ["A=1"],
    "Cmd": ["/bin/x"],
    "Entrypoint": ["/bin/e"],
    "Labels": {"l": "v", "m": ""},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "WorkingDir": "/w",
    "User": "app",
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000},
}
ARCHIVE = images.docker_archive(["two:latest", "two:other"], [ROOT, SECOND], CONFIG)
FILES: dict[str, str | bytes] = {
    "two.tar": ARCHIVE,
    "root.tar": ROOT,
    "untagged.tar": images.docker_archive([], [SECOND]),
    "broken.tar": ARCHIVE[:3000],
    "text": "no tar at all",
}
LIST = docker("image ls --format '{{.Repository}}:{{.Tag}} {{.Digest}}'", out="lines")

WALKS = (
    Walk(
        "load",
        (
            docker("load -i two.tar"),
            docker("load -q -i two.tar"),
            LIST,
            docker("images", out="lines"),
            docker("images -q --no-trunc"),
            docker("images two"),
            docker("images two:other -q"),
            docker("images nosuch"),
            docker("images --digests two:latest"),
            docker("images --filter label=l=v -q"),
            docker("images --filter label=nosuch -q"),
            docker("images --filter dangling=true"),
            docker("images --filter reference='tw*:lat*' -q"),
            docker("images --filter before=two:latest --format {{.Repository}}"),
            docker("images --filter since=nosuch"),
            docker("images --filter nosuch=1"),
            docker("images --format json two", out="json"),
            fields("image", "two:latest"),
            fields("image", "busybox"),
            docker("image inspect two:latest nosuch", out="ignore"),
            docker("history two:latest"),
            docker(
                "history --no-trunc --format '{{.CreatedBy}} {{.Size}} {{.Comment}}' two:latest"
            ),
            docker("history -q two:latest"),
            docker("history nosuch"),
            docker("load -i broken.tar", err="ignore", out="ignore"),
            docker("load -i text", err="ignore", out="ignore"),
            docker("load -i missing.tar"),
            docker("load -i untagged.tar"),
            docker("images -q --filter dangling=true"),
            docker("image prune -f", out="lines"),
            LIST,
            ask("/images/json"),
        ),
        ("no-digests", "other-words", "storage-driver"),
        files=FILES,
    ),
    Walk(
        "names",
        (
            docker("load -i two.tar"),
            docker("tag two:latest other.example:5000/deep/name:v1"),
            docker("tag two again"),
            docker("tag two UPPER"),
            docker("tag two 'a b'"),
            docker("tag nosuch x"),
            LIST,
            docker("create --name cx --network none two"),
            docker("rmi two:other"),
            docker("rmi two:latest again"),
            docker("rmi other.example:5000/deep/name:v1"),
            docker("rmi -f other.example:5000/deep/name:v1"),
            docker("ps -a --format '{{.Image}}'"),
            docker("rm cx"),
            docker("load -q -i two.tar"),
            docker("rmi nosuch two:other nosuch2"),
            docker("rmi -f nosuch"),
            docker("rmi two:latest", out="lines"),
            docker("run --name user --network none busybox true"),
            docker("rmi busybox"),
            docker("image rm -f busybox", out="ignore"),
            docker("start -a user"),
            docker("images -a", out="lines"),
        ),
        files=FILES,
    ),
    Walk(
        "by-id",
        (
            docker("load -q -i two.tar"),
            docker("images -q two:latest"),
            docker("tag two third"),
            ask("/images/two/json", out="ignore"),
            docker("image rm two:latest"),
            docker("image rm third:latest"),
            docker("run --rm --network none two:other", err="ignore"),
            docker("image rm --no-prune two:other", out="lines"),
            docker("image inspect --format '{{.Id}}' two"),
        ),
        ("other-words",),
        files=FILES,
    ),
    Walk(
        "saved",
        (
            docker("load -q -i two.tar"),
            docker("save -o saved.tar two:latest busybox"),
            docker("save -o missing/saved.tar two"),
            docker("save -o x.tar nosuch"),
            docker("save two:latest two:other", out="size"),
            docker("rmi two:latest two:other", out="lines"),
            docker("load -i saved.tar", out="lines"),
            LIST,
        ),
        ("other-words",),
        files=FILES,
    ),
    Walk(
        "imported",
        (
            docker("import root.tar flat:v1"),
            docker("import -c 'CMD [\"/bin/x\"]' -c 'ENV A=1' -m 'a message' root.tar flat:v2"),
            docker("import - flat:v3", ROOT),
            docker("import root.tar"),
            docker("import text flat:v4", err="ignore"),
            docker("import -c 'NOSUCH x' root.tar flat:v5"),
            docker("import root.tar BAD"),
            fields("image", "flat:v1"),
            fields("image", "flat:v2"),
            docker("history flat:v2"),
            LIST,
            docker("image prune -f", out="lines"),
            LIST,
        ),
        ("older-image-fields", "storage-driver"),
        files=FILES,
    ),
    Walk(
        "pruned",
        (
            docker("load -q -i two.tar"),
            docker("load -q -i untagged.tar"),
            docker("image prune -af --filter until=2000-01-01T00:00:00"),
            docker("image prune -af --filter label=nosuch"),
            docker("image prune -af --filter label!=l --filter until=1h", out="lines"),
            docker("image prune -f --filter nosuch=x"),
            LIST,
            docker("create --name cx --network none two"),
            docker("image prune -f", out="lines"),
            docker("image prune -af --filter label=l=v", out="lines"),
            docker("image prune -af", out="lines"),
            LIST,
        ),
        files=FILES,
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)

"""Planning of mounts of a part of a directory, of an image, of what another container has."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.errors import InvalidArgumentError
from knarr.mount import Mount
from knarr.runtime import facts, plan
from knarr.runtime.cgroups import Layout
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring

ROOT = (Mount("overlay", lower=("/l/1",), upper="/u", work="/w"),)


def described(kernel: tuple[int, int] = (6, 18), **mount: Any) -> list[str]:
    spec: Any = {
        "process": {"args": ["true"], "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [mount],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    }
    host = facts.Facts(kernel, 0, 40, {}, Layout("/cg", frozenset(), {}), lambda _: True)
    return plan.start(spec, "/bundle", ROOT, Wiring(Stdio(0, 1, 2)), host).describe()


def bind(*options: str) -> dict[str, Any]:
    return {"destination": "/d", "type": "bind", "source": "/s", "options": ["bind", *options]}


def test_a_part_is_resolved_in_its_source() -> None:
    lines = described(**bind("X-mount.subdir=a/b", "ro"))
    assert any(
        line.startswith('openat2("/s", "a/b", RESOLVE_IN_ROOT) -> open_tree') for line in lines
    )


def test_what_another_namespace_has_is_cloned_before_the_root_is_mounted() -> None:
    lines = described(**bind("X-knarr.mount-namespace=/proc/7/ns/mnt"))
    cloned = next(n for n, line in enumerate(lines) if "open_tree" in line and "/proc/7" in line)
    root = next(n for n, line in enumerate(lines) if "lowerdir+" in line)
    attached = lines.index('move_mount(clone -> "/d")')
    assert cloned < root < attached


@pytest.mark.parametrize("kernel", [(6, 18), (6, 1)], ids=["one-by-one", "in-a-string"])
def test_layers_of_an_image(kernel: tuple[int, int]) -> None:
    options = [r"lowerdir=/a\:b:/c", "ro", "X-mount.subdir=etc"]
    lines = described(kernel, destination="/i", type="overlay", source="overlay", options=options)
    assert any('lowerdir+=2 layers) -> fsmount(ro) -> move_mount("/i")' in line for line in lines)


def test_an_overlay_that_is_written_to_is_any_file_system() -> None:
    options = ["lowerdir=/a", "upperdir=/b", "workdir=/c"]
    lines = described(destination="/o", type="overlay", source="overlay", options=options)
    assert any(line.startswith('fsopen("overlay",lowerdir=/a,upperdir=/b') for line in lines)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/proc", "is not of type proc"),
        ("/proc/../proc/", "is not of type proc"),
        ("/proc/sys", "is inside /proc"),
        ("/x/../proc/self/attr", "is inside /proc"),
    ],
)
def test_nothing_stands_for_procfs(target: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        described(**bind() | {"destination": target})


def test_what_may_be_in_procfs() -> None:
    assert described(**bind() | {"destination": "/proc/uptime"})
    assert described(**bind() | {"destination": "/proc", "source": "/proc"})


@pytest.mark.parametrize(
    "mount",
    [
        bind("X-mount.subdir=a", "X-knarr.mount-namespace=/ns"),
        {
            "destination": "/t",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["X-mount.subdir=a"],
        },
    ],
    ids=["two-sources", "no-bind"],
)
def test_sources_that_cannot_be(mount: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        described(**mount)

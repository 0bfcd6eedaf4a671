"""What this machine can do, found by trying.

Law: a test names what it needs by a marker; a probe decides. A missing capability is a loud skip
on a developer's machine and a failure where ``KNARR_TEST_REQUIRE`` names it (or says ``all``).
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from support import postgres

CGROUP = Path("/sys/fs/cgroup")


def needs_root() -> str | None:
    return None if os.geteuid() == 0 else "not root"


def needs_overlay() -> str | None:
    if reason := needs_root():
        return reason
    with tempfile.TemporaryDirectory(prefix="knarr-probe-") as base:
        lower, upper, work, merged = (Path(base, name) for name in ("l", "u", "w", "m"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        if error := _mount("overlay", merged, "overlay", options):
            return f"overlayfs does not mount: {error}"
        _umount(merged)
    return None


def needs_erofs() -> str | None:
    from knarr.snapshots import open_stores  # the store's own probe mounts an image

    return _backend(open_stores, "erofs-file")


def needs_loop() -> str | None:
    from knarr.snapshots import open_stores

    return _backend(open_stores, "erofs-loop")


def needs_cgroup1() -> str | None:
    if reason := needs_root():
        return reason
    memory = CGROUP / "memory/memory.limit_in_bytes"
    memory_root = CGROUP / "memory/cgroup.procs"
    return None if memory_root.exists() or memory.exists() else "no cgroup v1 memory controller"


def needs_cgroup2() -> str | None:
    if reason := needs_root():
        return reason
    controllers = CGROUP / "cgroup.controllers"
    if not controllers.exists():
        return "no unified cgroup hierarchy at /sys/fs/cgroup"
    return None if "memory" in controllers.read_text() else "no v2 memory controller"


def needs_docker_cli(least: int = 20) -> str | None:
    if docker_cli() is None:
        return "no docker command line"
    version = docker_cli_version()
    return None if version >= least else f"docker command line {version} is older than {least}"


def needs_peer(program: str) -> str | None:
    found = find_program(program) or (program == "postgres" and postgres.programs())
    return None if found else f"{program} is not installed"


def find_program(name: str) -> str | None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    return shutil.which(name, path=path)


@functools.cache
def docker_cli() -> str | None:
    """The path of a docker command line: one installed by hand (newer) before Debian's."""
    for name in ("/usr/local/bin/docker", "docker"):
        if path := shutil.which(name):
            return path
    return None


@functools.cache
def docker_cli_version() -> int:
    """The major version of the docker command line."""
    text = subprocess.run([docker_cli() or "docker", "--version"], capture_output=True, text=True)
    found = re.search(r"version (\d+)\.", text.stdout)
    return int(found[1]) if found else 0


@functools.cache
def missing(marker: str, *args: Any) -> str | None:
    """Why the capability ``marker`` is missing, or None when it is there."""
    probe = PROBES[marker]
    return probe(*args)


def required(marker: str, *args: Any) -> bool:
    """Whether KNARR_TEST_REQUIRE turns a missing ``marker`` into a failure."""
    names = os.environ.get("KNARR_TEST_REQUIRE", "").split(",")
    short = marker.removeprefix("needs_")
    wanted = {short, marker, *(f"{short}:{arg}" for arg in args)}
    return "all" in names or bool(wanted & set(names))


def _backend(open_stores: object, backend: str) -> str | None:
    if reason := needs_root():
        return reason
    from knarr.errors import KnarrError

    with tempfile.TemporaryDirectory(prefix="knarr-probe-") as base:
        data, run = Path(base, "data"), Path(base, "run")
        try:
            layers, _ = open_stores(data, run, backend=backend)  # type: ignore[operator]
        except (KnarrError, OSError) as error:
            return f"{backend}: {error}"
        if getattr(layers, "backend", backend) != backend:
            return f"{backend} is not available"
    return None


def _mount(source: str, target: Path, fstype: str, options: str) -> str | None:
    libc = ctypes.CDLL(None, use_errno=True)
    args = source.encode(), os.fsencode(target), fstype.encode(), 0, options.encode()
    return os.strerror(ctypes.get_errno()) if libc.mount(*args) else None


def _umount(target: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(target), 2)


PROBES = {
    probe.__name__: probe
    for probe in (
        needs_root,
        needs_overlay,
        needs_erofs,
        needs_loop,
        needs_cgroup1,
        needs_cgroup2,
        needs_docker_cli,
        needs_peer,
    )
}

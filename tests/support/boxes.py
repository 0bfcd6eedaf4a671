"""Containers made by the runtime library itself, for its tests: no engine, no image store."""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from knarr.mount import Mount
from knarr.runtime import lifecycle
from knarr.runtime.cgroups import Cgroup, detect
from knarr.runtime.process import Running, Stdio

from . import images

CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip

_SAFE = ["nosuid", "noexec", "nodev"]
_numbers = itertools.count()


def default_spec() -> dict[str, Any]:
    """What Docker's default container looks like as an OCI spec, without seccomp."""
    mounts = [
        ("/proc", "proc", _SAFE),
        ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        ("/dev/shm", "tmpfs", [*_SAFE, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", _SAFE),
        ("/sys", "sysfs", [*_SAFE, "ro"]),
        ("/sys/fs/cgroup", "cgroup", [*_SAFE, "ro"]),
    ]
    kinds = ("mount", "pid", "ipc", "uts", "network", "cgroup")
    return {
        "ociVersion": "1.2.0",
        "process": {
            "args": ["true"],
            "env": ["PATH=/bin:/usr/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "capabilities": {
                each: list(CAPABILITIES) for each in ("bounding", "effective", "permitted")
            },
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": to, "type": kind, "source": kind, "options": options}
            for to, kind, options in mounts
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/sys"],
        },
    }


def unpack_busybox(target: Path) -> Path:
    """A root filesystem of Debian's busybox in the directory ``target``."""
    with tarfile.open(fileobj=io.BytesIO(images.busybox_layer())) as tar:
        images.unpack(tar, target)
    return target


class Result(NamedTuple):
    """How a container ended and what it wrote."""

    code: int
    out: str
    err: str


class Box:
    """A bundle with a writable overlay over a shared root filesystem."""

    def __init__(self, base: Path, lower: Path) -> None:
        self.number = next(_numbers)
        self.id = f"box{self.number}"
        self.base = base / self.id
        self.state_root = str(base / "state")
        self.parent = f"/knarr-box-{os.getpid()}-{self.number}"
        for name in ("rootfs", "upper", "work"):
            (self.base / name).mkdir(parents=True)
        self.upper = self.base / "upper"
        self.rootfs: tuple[Mount, ...] = (
            Mount(
                "overlay",
                lower=(str(lower),),
                upper=str(self.upper),
                work=str(self.base / "work"),
            ),
        )
        self.spec = default_spec()
        self.spec["linux"]["cgroupsPath"] = f"{self.parent}/{self.id}"
        self.running: Running | None = None
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    @property
    def process(self) -> dict[str, Any]:
        return self.spec["process"]

    def mount(
        self, destination: str, source: Path | str, *options: str, kind: str = "bind"
    ) -> None:
        wanted = {"destination": destination, "type": kind, "source": str(source)}
        self.spec["mounts"].append({**wanted, "options": list(options)})

    def start(self, *args: str, stdio: Stdio | None = None) -> Running:
        """Start the container; ``close`` ends it."""
        self.process["args"] = list(args) or self.process["args"]
        (self.base / "config.json").write_text(json.dumps(self.spec))
        self.running = lifecycle.run(
            copy.deepcopy(self.spec),  # type: ignore[arg-type]
            str(self.base),
            self.id,
            rootfs=self.rootfs,
            stdio=stdio or Stdio(self._null, self._null, self._null),
            state_root=self.state_root,
        )
        return self.running

    def run(self, *args: str) -> Result:
        """Start, wait, delete."""
        out, err = _file("out"), _file("err")
        try:
            self.start(*args, stdio=Stdio(self._null, out, err))
            code = self.wait()
            return Result(code, _content(out), _content(err))
        finally:
            os.close(out)
            os.close(err)

    def sh(self, script: str) -> str:
        """What a shell script writes; it must succeed."""
        result = self.run("/bin/sh", "-c", script)
        assert result.code == 0, result
        return result.out

    def exec(self, *args: str, **process: Any) -> Result:
        """Run another process in the started container."""
        wanted = {**copy.deepcopy(self.process), "terminal": False, "args": list(args), **process}
        out, err = _file("out"), _file("err")
        try:
            state = lifecycle.state(self.state_root, self.id)
            running = lifecycle.exec(state, wanted, stdio=Stdio(self._null, out, err))  # type: ignore[arg-type]
            return Result(reap(running), _content(out), _content(err))
        finally:
            os.close(out)
            os.close(err)

    def wait(self) -> int:
        """Wait for the end, delete, and give the exit code."""
        assert self.running is not None
        code = reap(self.running)
        self.running = None
        lifecycle.delete(self.state_root, self.id)
        return code

    def close(self) -> None:
        """End and delete the container, and fail when something of it is left."""
        if self.running is not None:
            lifecycle.kill(self.state_root, self.id, 9)
            self.wait()
        os.close(self._null)
        layout = detect()
        points = {point for point in (layout.unified, *layout.legacy.values()) if point}
        left = [point for point in points if Path(point + self.parent, self.id).exists()]
        assert not left, f"cgroups are left: {left}"
        assert not Path(self.state_root, self.id).exists()
        Cgroup(self.parent, layout).remove()


def reap(running: Running) -> int:
    """Wait for a process and close its pidfd; 128 + N for signal N."""
    result = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED)
    os.close(running.pidfd)
    assert result is not None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def _file(name: str) -> int:
    return os.memfd_create(name, os.MFD_CLOEXEC)


def _content(descriptor: int) -> str:
    return os.pread(descriptor, 1 << 20, 0).decode(errors="replace")

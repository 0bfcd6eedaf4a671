"""Real images for tests, made of Debian packages."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from . import probes

CACHE = Path(os.environ.get("KNARR_TEST_CACHE", "/var/tmp/knarr-test-cache"))
APPLETS = (
    "sh ash cat ls echo true false sleep id env ps kill dd head tail grep sed awk wc touch mkdir "
    "rm rmdir mv cp ln chmod chown stat find mount umount hostname ip ifconfig nc httpd wget sync "
    "seq date pwd test printf yes tr sort uniq tee cut od md5sum sha256sum stty tty nproc free "
    "mknod mkfifo readlink realpath dirname basename timeout usleep nohup setsid ping vi top df du "
    "uname whoami sysctl dmesg chroot unshare nsenter getopt xargs base64 tar gzip expr trap"
).split()

PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
PASSWD += "app:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\nnobody:x:65534:\napp:x:1000:\nextra:x:2000:app\n"


def layer(entries: dict[str, tuple[str, Any]], mtime: int = 1_700_000_000) -> bytes:
    """A layer tar; ``entries`` maps a path to ``(kind, value)``.

    Kinds: ``file`` (bytes), ``exe`` (bytes), ``dir`` (mode), ``link`` (symlink target), ``hard``
    (hardlink target), ``whiteout`` (ignored).
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (kind, value) in entries.items():
            info = tarfile.TarInfo(path)
            info.mtime = mtime
            data = None
            if kind in ("file", "exe"):
                data = value
                info.size, info.mode = len(value), 0o755 if kind == "exe" else 0o644
            elif kind == "dir":
                info.type, info.mode = tarfile.DIRTYPE, value
            elif kind == "link":
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, value, 0o777
            elif kind == "hard":
                info.type, info.linkname = tarfile.LNKTYPE, value
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def busybox_layer() -> bytes:
    """A root filesystem of Debian's static busybox with links, users and a few folders."""
    program = probes.find_program("busybox")
    assert program, "busybox-static is not installed"
    entries: dict[str, tuple[str, Any]] = {
        name: ("dir", mode)
        for name, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("home", 0o755),
            ("root", 0o700),
            ("tmp", 0o1777),
            ("var", 0o755),
        )
    }
    entries["bin/busybox"] = ("exe", Path(program).read_bytes())
    for applet in APPLETS:
        entries[f"bin/{applet}"] = ("link", "busybox")
    entries["etc/passwd"] = ("file", PASSWD.encode())
    entries["etc/group"] = ("file", GROUP.encode())
    return layer(entries)


def unpack(tar: tarfile.TarFile, target: Path) -> None:
    """Extract an archive that the tests made; Debian 12's Python has no extraction filters yet."""
    if hasattr(tarfile, "fully_trusted_filter"):
        tar.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
    tar.extractall(target)


def docker_archive(
    tags: list[str], layers: list[bytes], config: dict[str, Any] | None = None
) -> bytes:
    """An archive as ``docker save`` writes it since version 1.10 (manifest.json last)."""
    image = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2023-11-14T22:13:20Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [_sha(data) for data in layers]},
        "history": [{"created": "2023-11-14T22:13:20Z", "created_by": "test"} for _ in layers],
    }
    raw = json.dumps(image).encode()
    name = _sha(raw).removeprefix("sha256:")
    files = {f"{name}.json": raw}
    paths = []
    for data in layers:
        path = f"{_sha(data).removeprefix('sha256:')}/layer.tar"
        files[path] = data
        paths.append(path)
    manifest = [{"Config": f"{name}.json", "RepoTags": tags, "Layers": paths}]
    files["manifest.json"] = json.dumps(manifest).encode()
    return layer({path: ("file", data) for path, data in files.items()})


def busybox_archive() -> bytes:
    """The archive of the image ``busybox:latest``."""
    return docker_archive(["busybox:latest"], [busybox_layer()])


def debian_root() -> Path:
    """A root filesystem tar of Debian 12 with apt and python3, made once and kept.

    The packages come from where the machine's own apt takes them.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "debian.tar"
    if path.exists():
        return path
    staged = CACHE / f"debian.{os.getpid()}.tar"
    sources = [str(p) for p in sorted(Path("/etc/apt/sources.list.d").glob("debian*.sources"))]
    if Path("/etc/apt/sources.list").exists():
        sources.append("/etc/apt/sources.list")
    command = ["mmdebstrap", "--mode=root", "--variant=minbase"]
    command += ["--include=python3,ca-certificates", "bookworm", str(staged), *sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"mmdebstrap: {done.stderr[-2000:]}"
    staged.rename(path)
    return path


def _sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()

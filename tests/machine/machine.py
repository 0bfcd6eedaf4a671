"""Booting the machine and listening to it.

The machine has the host's files read-only below an overlay (so the checkout and its virtual
environment are at the same paths), an empty disk for what it writes, no network, and control
groups as hosts of today have them (``unified``: v2 alone) or as old ones (``legacy``: v1 alone).
What it needs are Debian packages: qemu-system-x86 (with qemu-system-common's virtiofsd, or the
package virtiofsd of Debian 13), linux-image-cloud-amd64, busybox-static, e2fsprogs.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import initramfs

ROOT = Path(__file__).parents[2]
PACKAGES = "qemu-system-x86 qemu-system-common linux-image-cloud-amd64 busybox-static e2fsprogs"
MEMORY = "1024M"
DISK_BYTES = 2 << 30  # sparse
# KVM is faster where it works, but most machines that run tests are themselves virtual.
ACCELERATOR = os.environ.get("KNARR_MACHINE_ACCEL", "tcg,thread=multi")
CPU = "max" if ACCELERATOR.startswith("tcg") else "host,-arch-capabilities"
PLUGINS = ("-p", "machine.report", "-p", "pytest_timeout", "-p", "no:cacheprovider")
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")


@dataclass(frozen=True)
class Parts:
    """What the machine is made of, on this host."""

    qemu: Path
    virtiofsd: Path
    busybox: Path
    mkfs: Path
    kernel: Path
    modules: Path


@dataclass
class Result:
    """What the machine told: results by node id, and what it said on its console."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    booted: dict[str, object] = field(default_factory=dict)
    ended: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    console: str = ""


def find_parts() -> Parts | str:
    """The parts, or a sentence that says what is missing."""
    if os.geteuid() != 0:
        return "not root (virtiofsd must read every file)"
    if os.uname().machine != "x86_64":
        return "the machine is made for x86_64 only"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    qemu, busybox, mkfs = (
        shutil.which(name, path=path) for name in ("qemu-system-x86_64", "busybox", "mkfs.ext4")
    )
    virtiofsd = next((each for each in _VIRTIOFSD if Path(each).exists()), None)
    kernels = [
        (kernel, modules)
        for kernel in sorted(Path("/boot").glob("vmlinuz-*"), key=_version, reverse=True)
        if (modules := Path("/lib/modules", kernel.name.removeprefix("vmlinuz-"))).is_dir()
    ]
    if not (qemu and busybox and mkfs and virtiofsd and kernels):
        return f"not all of these packages are installed: {PACKAGES}"
    if not _is_static(Path(busybox)):
        return "busybox is not static (package busybox-static)"
    return Parts(Path(qemu), Path(virtiofsd), Path(busybox), Path(mkfs), *kernels[0])


def _is_static(program: Path) -> bool:
    """Whether the ELF file names no dynamic linker (whose path stands near its beginning)."""
    return b"/ld-linux" not in program.read_bytes()[:4096]


def _version(kernel: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", kernel.name)]


def run(
    parts: Parts,
    arguments: list[str],
    base: Path,
    *,
    timeout: float,
    cgroups: str = "unified",
    environment: dict[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Boot, run pytest with ``arguments`` (paths relative to the checkout), switch off.

    ``base`` is a folder for sockets and files; ``progress`` gets a line for each test. The machine
    is gone afterwards, also after ``timeout`` seconds, which end it with what it told so far.
    """
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TMPDIR": "/mnt",  # the empty disk; overlayfs needs a real file system for its upper layer
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **(environment or {}),
    }
    job = {
        "root": str(ROOT),
        "arguments": [*PLUGINS, "-v", "--color=no", *arguments],
        "environment": variables,
    }
    encoded = base64.b64encode(json.dumps(job).encode()).decode()
    guest = str(Path(__file__).with_name("guest.py"))
    archive = base / "initramfs"
    archive.write_bytes(
        initramfs.build(parts.busybox, parts.modules, cgroups, (sys.executable, guest, encoded))
    )
    result = Result()
    console = base / "console"
    before = time.monotonic()
    with ExitStack() as stack:
        socket_path = stack.enter_context(_shared_root(parts, base))
        qemu = stack.enter_context(_qemu(parts, base, archive, console, socket_path))
        try:
            for line in _lines(qemu, before + timeout):
                _take(line, result, progress)
        finally:
            result.seconds = time.monotonic() - before
            result.console = console.read_text(errors="replace") if console.exists() else ""
    return result


@contextmanager
def _shared_root(parts: Parts, base: Path) -> Iterator[Path]:
    """virtiofsd, serving ``/`` to the machine."""
    path = base / "virtiofs.sock"
    command = [str(parts.virtiofsd), f"--socket-path={path}"]
    if parts.virtiofsd.parent.name == "qemu":  # the C program of QEMU 7
        options = "source=/,sandbox=chroot,cache=always,xattr,no_posix_lock,no_flock"
        command += ["-f", "--rlimit-nofile=0", "-o", options, "-o", "log_level=err"]
    else:
        command += ["--shared-dir=/", "--sandbox=chroot", "--cache=always", "--xattr"]
        command += ["--rlimit-nofile=0", "--log-level=error"]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                daemon.kill()
                _, error = daemon.communicate()
                raise RuntimeError(f"virtiofsd does not start: {error.decode()}")
            time.sleep(0.01)
        yield path
    finally:
        daemon.kill()
        daemon.communicate()


@contextmanager
def _qemu(
    parts: Parts, base: Path, archive: Path, console: Path, share: Path
) -> Iterator[subprocess.Popen[bytes]]:
    disk = base / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run([parts.mkfs, "-q", "-F", disk], check=True)
    command = [
        *(str(parts.qemu), "-nodefaults", "-no-user-config", "-no-reboot", "-nographic"),
        *("-machine", "q35,memory-backend=memory", "-cpu", CPU, "-smp", "2", "-accel", ACCELERATOR),
        *("-m", MEMORY, "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on"),
        *("-kernel", str(parts.kernel), "-initrd", str(archive)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on"),
        *("-serial", f"file:{console}", "-serial", "stdio"),
        *("-chardev", f"socket,id=share,path={share}"),
        *("-device", "vhost-user-fs-pci,chardev=share,tag=host"),
        *("-drive", f"file={disk},format=raw,if=none,id=disk,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-device", "virtio-rng-pci"),
    ]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield qemu
    finally:
        qemu.kill()
        qemu.communicate()
        disk.unlink()


def _lines(qemu: subprocess.Popen[bytes], deadline: float) -> Iterator[bytes]:
    """The lines of the report until the machine ends or the deadline passes."""
    assert qemu.stdout is not None
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([qemu.stdout], [], [], left)[0]:
            break
        part = os.read(qemu.stdout.fileno(), 65536)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        yield from lines


def _take(line: bytes, result: Result, progress: Callable[[str], None]) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        progress(line.decode(errors="replace"))
        return
    if event["event"] == "booted":
        result.booted = event
    elif event["event"] == "ended":
        result.ended = event
    else:
        nodeid, outcome = event["nodeid"], event["outcome"]
        progress(f"{outcome:8} {event['seconds']:7.2f} s  {nodeid}")
        # A test that passed can still fail when it is torn down; the worse one stays.
        if outcome != "passed" or nodeid not in result.outcomes:
            result.outcomes[nodeid] = (outcome, event["text"])

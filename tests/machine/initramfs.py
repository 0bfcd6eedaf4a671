"""The first file system of the machine: busybox, kernel modules, one script. Made without root.

Sources: kernel Documentation/driver-api/early-userspace/buffer-format.rst (newc), modules.dep(5).
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterable
from pathlib import Path

WANTED = (
    "virtio_pci",
    "virtiofs",
    "virtio_blk",
    "overlay",
    "erofs",
    "loop",
    "bfq",
    "veth",
    "bridge",
    "quota_v2",
)

SCRIPT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /disk /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read module; do insmod "/modules/$module" || echo "no module $module"; done < /modules/order
mount -t virtiofs -o ro host /host || exec poweroff -f
mount -t ext4 -o nodiscard /dev/vda /disk || exec poweroff -f
mkdir -p /disk/upper /disk/work /disk/tmp
chmod 1777 /disk/tmp
mount -t overlay -o lowerdir=/host,upperdir=/disk/upper,workdir=/disk/work root /root
for at in proc sys dev; do mount --move /$at /root/$at; done
mount -t tmpfs -o mode=755 run /root/run
mount --bind /disk/tmp /root/mnt
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
{cgroups}exec switch_root /root {python} {guest} {arguments}
"""

#: How each kind of host mounts its control groups.
CGROUPS = {
    "unified": "mount -t cgroup2 cgroup2 /root/sys/fs/cgroup\n",
    "legacy": """\
mount -t tmpfs -o mode=755 cgroup /root/sys/fs/cgroup
for names in cpu,cpuacct cpuset memory pids blkio devices freezer; do
  mkdir /root/sys/fs/cgroup/$names
  mount -t cgroup -o $names cgroup /root/sys/fs/cgroup/$names
done
""",
}


def build(busybox: Path, modules: Path, cgroups: str, guest_command: tuple[str, str, str]) -> bytes:
    """The archive for a kernel whose modules are in ``modules`` (``/lib/modules/<release>``).

    ``cgroups`` is a key of ``CGROUPS``. ``guest_command`` is what becomes process 1 after the
    change of root: interpreter, program, arguments.
    """
    files = load_order(modules, WANTED)
    python, guest, arguments = guest_command
    archive = io.BytesIO()
    for directory in ("bin", "modules", "dev"):
        _entry(archive, directory, stat.S_IFDIR | 0o755, b"")
    _entry(archive, "bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes())
    script = SCRIPT.format(
        python=python, guest=guest, arguments=arguments, cgroups=CGROUPS[cgroups]
    )
    _entry(archive, "init", stat.S_IFREG | 0o755, script.encode())
    for file in files:
        _entry(archive, f"modules/{file.name}", stat.S_IFREG | 0o644, file.read_bytes())
    order = "".join(f"{file.name}\n" for file in files)
    _entry(archive, "modules/order", stat.S_IFREG | 0o644, order.encode())
    _entry(archive, "TRAILER!!!", 0, b"")
    return archive.getvalue()


def load_order(modules: Path, wanted: Iterable[str]) -> list[Path]:
    """The files of the modules ``wanted`` and of those they need, each after what it needs.

    A module that is built into the kernel is left out; ``KeyError`` names one that does not exist.
    """
    needs: dict[str, tuple[str, list[str]]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[_name(file)] = (file, rest.split())
    builtin = {_name(line) for line in (modules / "modules.builtin").read_text().splitlines()}
    order: dict[str, None] = {}
    for name in wanted:
        if name in builtin:
            continue
        file, before = needs[name]
        # depmod lists what a module needs from near to far.
        order.update(dict.fromkeys([*reversed(before), file]))
    return [modules / file for file in order]


def _name(file: str) -> str:
    return file.rpartition("/")[2].partition(".")[0].replace("-", "_")


def _entry(archive: io.BytesIO, name: str, mode: int, content: bytes) -> None:
    path = name.encode() + b"\0"
    fields = (archive.tell() + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    archive.write(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
    archive.write(b"\0" * (-archive.tell() % 4) + content)
    archive.write(b"\0" * (-archive.tell() % 4))

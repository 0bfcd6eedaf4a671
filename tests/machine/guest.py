"""Process 1 of the machine: runs pytest, reports each result over a serial line, switches off.

Run by the Python of the host's virtual environment inside the machine; standard library only.
Arguments: the base64 of a JSON object with ``root`` (the checkout), ``arguments`` (for pytest),
``environment``.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
import tty
from pathlib import Path

REPORT = "/dev/ttyS1"
_SIOCSIFFLAGS, _UP = 0x8914, 0x1
_POWER_OFF = 0x4321FEDC


def main() -> None:
    """Do the one job of this machine."""
    job = json.loads(base64.b64decode(sys.argv[1]))
    os.environ.clear()
    os.environ.update(job["environment"])
    os.environ["KNARR_MACHINE_REPORT"] = REPORT
    os.chdir(job["root"])
    socket.sethostname("machine")
    _loopback_up()
    line = os.open(REPORT, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    facts = {
        "event": "booted",
        "release": os.uname().release,
        "seconds": float(Path("/proc/uptime").read_text().split()[0]),
    }
    os.write(line, json.dumps(facts).encode() + b"\n")
    before = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "pytest", *job["arguments"]])
    code = _reap_until(child.pid)
    left = [path.name for top in _hierarchies() for path in top.iterdir() if path.is_dir()]
    end = {"event": "ended", "code": code, "seconds": time.monotonic() - before, "cgroups": left}
    os.write(line, json.dumps(end).encode() + b"\n")
    subprocess.run(["/bin/sync"], check=False)
    _power_off()


def _hierarchies() -> list[Path]:
    """The tops of the cgroup trees: one of v2, or one for each set of v1 controllers."""
    top = Path("/sys/fs/cgroup")
    return [top] if (top / "cgroup.controllers").exists() else list(top.iterdir())


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))


def _reap_until(pid: int) -> int:
    """Process 1 inherits orphans: reap them all until ``pid`` is among them."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def _power_off() -> None:
    import ctypes

    ctypes.CDLL(None).reboot(_POWER_OFF)


if __name__ == "__main__":
    main()

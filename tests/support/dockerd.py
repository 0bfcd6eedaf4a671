"""dockerd from the Debian package, beside whatever else runs on the machine.

Law: it gets roots of its own, no bridge and no packet filter, so that it disturbs no other engine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

from . import leaks, probes
from .engine import START_TIMEOUT, Engine


class Dockerd(Engine):
    """A dockerd that is used as an ``Engine``; ``stop_all`` also ends its containers."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.socket = base / "d.sock"
        self.host = f"unix://{self.socket}"
        self.exec_root = Path("/run", f"walk-{secrets.token_hex(4)}")

    def start(self, *, env: dict[str, str] | None = None, wait: bool = True) -> Dockerd:
        self.base.mkdir(parents=True, exist_ok=True)
        self.exec_root.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.exec_root)]
        subprocess.run(mount, check=True)
        program = probes.find_program("dockerd")
        assert program, "docker.io is not installed"
        command = [program, "--data-root", str(self.data_root), "--exec-root", str(self.exec_root)]
        command += ["--pidfile", f"{self.base}/pid", "-H", self.host, "--bridge", "none"]
        command += ["--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"} | (env or {}),
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def stop_all(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for item in self.get("/containers/json?all=1"):
                self.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(START_TIMEOUT)
        self._wait_for_shims()
        for point in reversed(leaks.mounts(self.base) + leaks.mounts(self.exec_root)):
            subprocess.run(["umount", "-l", point], check=False)
        with contextlib.suppress(FileNotFoundError):
            self.exec_root.rmdir()

    def _wait_for_shims(self) -> None:
        """containerd and its shims end a moment after dockerd."""
        deadline = time.monotonic() + START_TIMEOUT
        while left := leaks.processes(self.exec_root) + leaks.processes(self.base):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

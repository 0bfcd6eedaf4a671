"""The engines that are measured side by side, each with roots of its own and no network set-up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import images, leaks, probes
from support.engine import Engine, UnixConnection

__all__ = [
    "Connection",
    "Dockerd",
    "Engine",
    "UnixConnection",
    "api",
    "images",
    "knarr",
    "leaks",
    "pss",
    "runc_bundle",
]


class Dockerd:
    """dockerd from the Debian package, beside whatever else runs on the machine."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.exec_root = run_folder(base)
        self.socket = base / "d.sock"
        self.host = f"unix://{self.socket}"

    def start(self) -> Dockerd:
        self.base.mkdir(parents=True)
        program = probes.find_program("dockerd")
        assert program, "docker.io is not installed"
        command = [program, "--data-root", f"{self.base}/data", "--exec-root", str(self.exec_root)]
        command += ["--pidfile", f"{self.base}/pid", "-H", self.host, "--bridge", "none"]
        command += ["--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        log = (self.base / "log").open("wb")
        env = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, start_new_session=True
        )
        log.close()
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.base / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "dockerd does not answer"
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return api(self.socket, "GET", "/_ping")[0] == 200
        return False

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        for point in reversed(leaks.mounts(self.base)):
            subprocess.run(["umount", "-l", point], check=False)
        remove_run_folder(self.exec_root)

    def pids(self) -> list[int]:
        """dockerd, its containerd and the shims of its containers."""
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and self._is_ours(entry)
        ]

    def _is_ours(self, entry: Path) -> bool:
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            return any(os.fsencode(path) in command for path in (self.base, self.exec_root))
        return False


def api(path: Path, method: str, url: str, body: object = None) -> tuple[int, bytes]:
    """One request on a connection of its own; a body that is not bytes is sent as JSON."""
    connection = UnixConnection(str(path), 300)
    headers = {}
    if body is not None and not isinstance(body, bytes):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    try:
        connection.request(method, url, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Connection:
    """A connection that is kept, for many requests: as little work as can be beside the engine."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(300)
        self._socket.connect(str(path))
        self._ahead = b""

    def ask(self, method: str, url: str, wanted: int, body: object = None) -> bytes:
        """The body of the answer, whose status must be ``wanted``."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {url} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(data)}\r\n"
        head += "Content-Type: application/json\r\n\r\n" if data else "\r\n"
        self._socket.sendall(head.encode() + data)
        first, *lines = self._until(b"\r\n\r\n").decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        answer = self._body(fields)
        status = int(first.split()[1])
        assert status == wanted, (url, status, answer)
        return answer

    def close(self) -> None:
        self._socket.close()

    def _body(self, fields: dict[str, str]) -> bytes:
        if "chunked" not in fields.get("transfer-encoding", ""):
            return self._exactly(int(fields.get("content-length", 0)))
        parts: list[bytes] = []
        while size := int(self._until(b"\r\n"), 16):
            parts.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(parts)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._ahead:
            self._more()
        found, _, self._ahead = self._ahead.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._ahead) < size:
            self._more()
        found, self._ahead = self._ahead[:size], self._ahead[size:]
        return found

    def _more(self) -> None:
        received = self._socket.recv(65536)
        assert received, "the engine closed the connection"
        self._ahead += received


@contextlib.contextmanager
def knarr(base: Path) -> Iterator[Engine]:
    """A knarr engine for the length of a benchmark."""
    engine = Engine(base)
    with contextlib.ExitStack() as stack:
        engine.exec_root = run_folder(base)
        stack.callback(remove_run_folder, engine.exec_root)
        stack.callback(engine.stop_all)
        engine.start()
        yield engine


def run_folder(base: Path) -> Path:
    """A folder for run files on a tmpfs of its own, as /run is one nearly everywhere."""
    folder = Path("/run", f"bench-{base.parent.name}-{base.name}")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    return folder


def remove_run_folder(folder: Path) -> None:
    """Undo ``run_folder`` and all mounts below it."""
    for point in reversed(leaks.mounts(folder)):
        subprocess.run(["umount", "-l", point], check=False)
    folder.rmdir()


def runc_bundle(base: Path, args: list[str]) -> Path:
    """An OCI bundle of the busybox root filesystem, unpacked, with runc's own default spec."""
    import io
    import tarfile

    bundle = base / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(images.busybox_layer())) as tar:
        images.unpack(tar, bundle / "rootfs")
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    path = bundle / "config.json"
    spec = json.loads(path.read_text())
    spec["process"] |= {"args": args, "terminal": False}
    path.write_text(json.dumps(spec))
    return bundle


def pss(pids: list[int]) -> int:
    """Proportional set size of these processes together, in bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total

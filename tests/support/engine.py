"""A real engine under test: ``python -m knarr.daemon`` with roots of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import leaks, probes

START_TIMEOUT = 30.0 * float(os.environ.get("KNARR_TEST_PATIENCE", "1"))


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: str, timeout: float = 60.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """Start, use, kill and examine one engine. ``stop_all`` also ends its containers."""

    def __init__(self, base: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.base = base
        self.data_root = base / "data"
        self.exec_root = base / "run"
        self.socket = base / "k.sock"
        self.host = f"unix://{self.socket}"
        self.options = options
        self.env = env or {}
        self.log = base / "engine.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, env: dict[str, str] | None = None, wait: bool = True) -> Engine:
        """Start the engine; with ``wait`` return when it answers, else at once."""
        self.base.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "knarr.daemon", "--data-root", str(self.data_root)]
        command += ["--exec-root", str(self.exec_root), "-H", self.host, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.env | (env or {}),
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until the engine answers a ping; fail with its log if it ends or takes too long."""
        assert self.process
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.api("GET", "/_ping")[0] == 200:
                    return
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the engine did not start:\n{self.log.read_text()[-4000:]}")

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def supervisor_pid(self) -> int:
        """The process id of the engine's supervisor, found by its command line."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if any("supervisor" in word for word in argv) and str(self.exec_root) in argv:
                    return int(entry.name)
        raise AssertionError("no supervisor is running")

    def terminate(self) -> int:
        """SIGTERM: the engine stops, containers run on."""
        assert self.process
        self.process.terminate()
        return self.process.wait(20)

    def kill9(self) -> None:
        """SIGKILL the engine."""
        assert self.process
        self.process.kill()
        self.process.wait(10)

    def stop_all(self) -> None:
        """Remove all containers, end the engine and its supervisor, check that nothing is left."""
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.start()
        for item in self.get("/containers/json?all=1"):
            self.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        supervisor = None
        with contextlib.suppress(AssertionError):
            supervisor = self.supervisor_pid()
        self.terminate()
        if supervisor:
            _end(supervisor)
        left = leaks.cgroups(self.exec_root)
        points = leaks.mounts(self.base) + leaks.mounts(self.exec_root)
        own = [str(self.exec_root)]  # a test may have made it a mount
        left += [point for point in points if "/layers" not in point and point not in own]
        for point in reversed([each for each in points if each not in own]):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        left += leaks.processes(self.base)
        leaks.remove_cgroup_parents(self.exec_root)
        assert not left, f"left behind by the engine: {left}"

    def docker(self, *args: str, check: bool = True, **kwargs: Any) -> Result:
        """Run the docker command line against this engine."""
        path = probes.docker_cli()
        assert path
        return self._command([path, *args], check=check, **kwargs)

    def knarr(self, *args: str, check: bool = True, **kwargs: Any) -> Result:
        """Run our own command line against this engine."""
        program = Path(sys.executable).parent / "knarr"
        return self._command([str(program), *args], check=check, **kwargs)

    def _command(
        self,
        command: list[str],
        *,
        check: bool,
        input: str | bytes | None = None,
        timeout: float = 120,
        env: dict[str, str] | None = None,
        binary: bool = False,
    ) -> Result:
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            command,
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout,
            env=self.client_env | (env or {}),
        )
        out = done.stdout if binary else done.stdout.decode(errors="replace")
        result = Result(done.returncode, out, done.stderr.decode(errors="replace"))
        if check and done.returncode != 0:
            shown = f"{result.err}\nengine log:\n{self.log.read_text()[-3000:]}"
            raise AssertionError(f"{command} exited {done.returncode}: {shown}")
        return result

    @property
    def client_env(self) -> dict[str, str]:
        """The environment in which a client finds this engine."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "KNARR_"))}
        config = self.base / "docker-config"
        return env | {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(config)}

    def api(
        self, method: str, path: str, body: Any = None, timeout: float = 60.0
    ) -> tuple[int, bytes]:
        """One API request; ``body`` is JSON unless it is bytes."""
        connection = UnixConnection(str(self.socket), timeout)
        headers = {}
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON answer to a GET, which must succeed."""
        status, body = self.api("GET", path)
        assert status == 200, (status, body)
        return json.loads(body)


class Result:
    """What a command did. ``out`` is bytes when it was run with ``binary=True``."""

    def __init__(self, code: int, out: Any, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def line(self) -> str:
        """The output without the space around it."""
        return str(self.out).strip()

    def __repr__(self) -> str:
        return f"Result({self.code}, {self.out!r}, {self.err!r})"


def _end(pid: int) -> None:
    """End a process by pid and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(fd, signal.SIGTERM)
            if not _gone(fd, 10):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                _gone(fd, 5)
        finally:
            os.close(fd)


def _gone(pidfd: int, seconds: float) -> bool:
    import select

    return bool(select.select([pidfd], [], [], seconds)[0])

"""docker-registry from the Debian package, on a port of loopback of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from . import probes
from .waiting import SECONDS

USER, PASSWORD = "someone", "secret"
_BCRYPT = "$2b$04$ZIlEOARAlNBYPqEmNBAFXurFGNYVelxq214ORCRtkF.QnBQ1Kme82"


class Certificates:
    """An authority of our own and a certificate for loopback and two names; made by openssl."""

    def __init__(self, base: Path) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.ca, self._ca_key = base / "ca.crt", base / "ca.key"
        self.cert, self.key = base / "server.crt", base / "server.key"
        new = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split()
        )
        own = ["-subj", "/CN=knarr test authority", "-keyout", self._ca_key, "-out", self.ca]
        subprocess.run([*new, *own], check=True, capture_output=True)
        names = "subjectAltName=DNS:localhost,DNS:registry.test,DNS:other.test,IP:127.0.0.1"
        server = ["-subj", "/CN=server", "-addext", names, "-addext", "basicConstraints=CA:FALSE"]
        server += ["-CA", self.ca, "-CAkey", self._ca_key]
        server += ["-keyout", self.key, "-out", self.cert]
        subprocess.run([*new, *server], check=True, capture_output=True)

    def context(self, *, client: bool = False) -> ssl.SSLContext:
        """For a server; ``client``: it wants a certificate of our authority from the client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if client:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@contextlib.contextmanager
def docker_registry(
    base: Path, *, auth: bool = False, certificates: Certificates | None = None
) -> Iterator[str]:
    """A running registry; its ``host:port``. ``auth``: it knows ``USER`` with ``PASSWORD``."""
    base.mkdir(parents=True, exist_ok=True)
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(base / "data")},
            "delete": {"enabled": True},
        },
    }
    serving: dict[str, object] = {}
    if certificates is not None:
        serving["tls"] = {"certificate": str(certificates.cert), "key": str(certificates.key)}
    if auth:
        users = base / "htpasswd"
        users.write_text(f"{USER}:{_BCRYPT}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(users)}}
    for _ in range(5):  # between looking for a port and taking it somebody else may take it
        with socket.create_server(("127.0.0.1", 0)) as probe:
            host = f"127.0.0.1:{probe.getsockname()[1]}"
        process = _started(base, {**config, "http": {**serving, "addr": host}})
        if _answers(host, process):
            break
        assert "address already in use" in (base / "log").read_text(), (base / "log").read_text()
    try:
        yield host
    finally:
        process.terminate()
        process.wait(SECONDS)


def _started(base: Path, config: dict[str, object]) -> subprocess.Popen[bytes]:
    program = probes.find_program("docker-registry")
    assert program, "docker-registry is not installed"
    (base / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (base / "log").open("wb") as log:
        command = [program, "serve", str(base / "config.yml")]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _answers(host: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait for it; False when it ended instead."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, "docker-registry does not answer"
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, timeout=5)
            connection.request("GET", "/v2/")
            connection.getresponse().read()
            connection.close()
            return process.poll() is None
        time.sleep(0.02)
    return False

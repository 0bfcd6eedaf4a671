"""The registry beside docker-registry: rates of reading by wrk, times of pushing by one client.

Both serve from files, without users and without TLS, on loopback.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from measures import Row, interleaved

from support.docker_registry import docker_registry
from support.registry import OCI_MANIFEST, RegistryServer

_SIZE = 64 << 20


class _Client:
    """One connection to a registry."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(address, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = {"Content-Type": kind} if kind else {}
        self._connection.request(method, path, body=body, headers=headers)
        answer = self._connection.getresponse()
        found = answer.read()
        assert answer.status < 300, (method, path, answer.status, found)
        self.location = answer.headers.get("Location", "")
        return found

    def put(self, content: bytes, digest: str) -> None:
        self.ask("POST", "/v2/bench/a/blobs/uploads/", b"")
        place = re.sub(r"^https?://[^/]+", "", self.location)
        mark = "&" if "?" in place else "?"
        self.ask("PUT", f"{place}{mark}digest={digest}", content, "application/octet-stream")

    def manifest(self) -> str:
        """Push a small image; the address of its manifest."""
        config = b"{}"
        self.put(config, _digest(config))
        descriptor = {"mediaType": "application/json", "digest": _digest(config), "size": 2}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor}
        raw = json.dumps(document | {"layers": [descriptor]}).encode()
        self.ask("PUT", "/v2/bench/a/manifests/1", raw, OCI_MANIFEST)
        return f"http://{self.address}/v2/bench/a/manifests/1"


def rows(base: Path, rounds: int = 5) -> list[Row]:
    """Manifest GET, blob GET, blob PUT."""
    ours = RegistryServer(base / "knarr-registry").start()
    try:
        with docker_registry(base / "docker-registry") as theirs:
            clients = [_Client(ours.address), _Client(theirs)]
            return [_manifests(clients, rounds), *_blobs(clients, rounds)]
    finally:
        ours.stop()


def _manifests(clients: list[_Client], rounds: int) -> Row:
    addresses = [each.manifest() for each in clients]
    rates: list[list[float]] = [[], []]
    for _ in range(rounds):
        for address, seen in zip(addresses, rates, strict=True):
            seen.append(_rate(address))
    ours, theirs = (statistics.median(each) for each in rates)
    return Row("registry: manifest GET", "docker-registry", ours, theirs, "/s", "≥ 5")


def _rate(address: str) -> float:
    command = ["wrk", "-t1", "-c8", "-d1s", "-H", f"Accept: {OCI_MANIFEST}", address]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in text, text
    match = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert match, text
    return float(match[1])


def _blobs(clients: list[_Client], rounds: int) -> list[Row]:
    contents = [os.urandom(_SIZE) for _ in range(rounds + 1)]
    digests = [_digest(each) for each in contents]

    def putting(client: _Client) -> Callable[[], None]:
        left = iter(zip(contents, digests, strict=True))
        return lambda: client.put(*next(left))

    seconds = interleaved(rounds, *(putting(each) for each in clients))
    put = [_SIZE / each / 1e6 for each in seconds]
    rates: list[list[float]] = [[], []]
    for _ in range(rounds):
        for client, seen in zip(clients, rates, strict=True):
            address = f"http://{client.address}/v2/bench/a/blobs/{digests[0]}"
            seen.append(_rate(address) * _SIZE / 1e6)
    get = [statistics.median(each) for each in rates]
    return [
        Row(f"registry: blob {name}", "docker-registry", ours, theirs, "MB/s", "≥ 1.2")
        for name, (ours, theirs) in (("PUT", put), ("GET", get))
    ]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

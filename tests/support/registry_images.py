"""Images of our own making, brought to any registry over its API."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import random
import socket
import threading
from typing import Any

from .image_home import config, layer
from .registries import digest_of

DOCKER = "application/vnd.docker."
MANIFEST = DOCKER + "distribution.manifest.v2+json"
LIST = DOCKER + "distribution.manifest.list.v2+json"
CONFIG = DOCKER + "container.image.v1+json"
LAYER = DOCKER + "image.rootfs.diff.tar.gzip"


class Pusher:
    """Pushes to one repository."""

    def __init__(self, host: str, repository: str) -> None:
        self.host = host
        self.repository = repository
        self.name = f"{host}/{repository}"

    def blob(self, data: bytes) -> str:
        """Bring a blob in; its digest."""
        place = self._ask("POST", f"/v2/{self.repository}/blobs/uploads/", 202)[0]["Location"]
        path = place.partition(self.host)[2] or place
        joint = "&" if "?" in path else "?"
        self._ask("PUT", f"{path}{joint}digest={digest_of(data)}", 201, data)
        return digest_of(data)

    def document(self, document: dict[str, Any], tag: str = "") -> str:
        """Bring a manifest or index in; its digest."""
        raw = json.dumps(document).encode()
        path = f"/v2/{self.repository}/manifests/{tag or digest_of(raw)}"
        self._ask("PUT", path, 201, raw, {"Content-Type": document["mediaType"]})
        return digest_of(raw)

    def image(self, tag: str, *layers: bytes, kind: str = CONFIG, **extra: Any) -> str:
        """Bring an image of these tars in, by Docker's media types; the digest of its manifest."""
        raw = config(*layers, **extra)
        packed = [gzip.compress(each, 1, mtime=0) for each in layers]
        return self.document(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": kind, "digest": self.blob(raw), "size": len(raw)},
                "layers": [
                    {"mediaType": LAYER, "digest": self.blob(each), "size": len(each)}
                    for each in packed
                ],
            },
            tag,
        )

    def index(self, tag: str, **architectures: str) -> str:
        """Bring an index of manifests that are there in (by architecture); its digest."""
        entries = []
        for architecture, digest in architectures.items():
            path = f"/v2/{self.repository}/manifests/{digest}"
            raw = self._ask("GET", path, 200, None, {"Accept": MANIFEST})[1]
            platform = {"os": "linux", "architecture": architecture}
            entry = {"mediaType": MANIFEST, "digest": digest, "size": len(raw)}
            entries.append({**entry, "platform": platform})
        return self.document({"schemaVersion": 2, "mediaType": LIST, "manifests": entries}, tag)

    def _ask(
        self,
        method: str,
        path: str,
        wanted: int,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            data = response.read()
            assert response.status == wanted, (method, path, response.status, data[:500])
            return response.headers, data
        finally:
            connection.close()


def small(text: str) -> bytes:
    """The tar of a layer with one small file."""
    return layer({f"{text}.txt": text.encode() * 50})


def large(seed: int, size: int) -> bytes:
    """The tar of a layer that does not compress."""
    return layer({f"large{seed}": random.Random(seed).randbytes(size)})


class Cutter:
    """Stands before a registry and cuts connections; counts what it let through.

    ``cuts`` are numbers of bytes: so many pass, then everything open is cut, and the next counts.
    ``stall``: nothing passes any more after so many bytes in all.
    """

    def __init__(self, host: str, *cuts: int, stall: int | None = None) -> None:
        self._target = host.partition(":")[0], int(host.partition(":")[2])
        self.cuts = list(cuts)
        self.passed = 0
        self._stall = stall
        self._ended = threading.Event()
        self._since = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()

    def cut(self) -> None:
        """Cut everything that is open."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self._target)
            with self._lock:
                self._open |= {client, server}
            for source, target, counts in ((client, server, False), (server, client, True)):
                thread = threading.Thread(
                    target=self._carry, args=(source, target, counts), daemon=True
                )
                thread.start()
                self._threads.append(thread)

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if counts and self._stall is not None and self.passed >= self._stall:
                    self._ended.wait()
                target.sendall(data)
                if counts and self._is_due(len(data)):
                    self.cut()
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_due(self, count: int) -> bool:
        with self._lock:
            self.passed += count
            self._since += count
            if not self.cuts or self._since < self.cuts[0]:
                return False
            self.cuts.pop(0)
            self._since = 0
            return True

"""A registry server of ours as a process, and a plain client to talk to it."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, NamedTuple

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


class Answer(NamedTuple):
    """What a request got; ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error code of the specification in the body."""
        return json.loads(self.body)["errors"][0]["code"]

    def json(self) -> object:
        return json.loads(self.body)


class RegistryServer:
    """``knarr registry serve`` on a free port of the loopback."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.address = "127.0.0.1:0"
        #: The lines that it has written to its log, after its end.
        self.said: list[str] = []

    def start(self) -> RegistryServer:
        """Start it (again, on the same port) and wait until it listens."""
        program = str(Path(sys.executable).with_name("knarr"))
        command = [program, "registry", "serve", "--listen", self.address]
        command += ["--root", str(self.root), *self._options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if match := re.search(r"serving .* on (\S+:\d+)$", line.strip()):
                self.address = match[1]
                self._reading = threading.Thread(target=self._read, args=(self._process.stderr,))
                self._reading.start()
                return self
        raise AssertionError(f"the registry did not start: {''.join(said)}")

    def _read(self, said: IO[str]) -> None:
        """Take what it says: a full pipe would stop it."""
        self.said += said.readlines()

    def kill9(self) -> None:
        """End it without a chance to clean up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it as an administrator does; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(20)
        assert self._process.stderr is not None
        self._reading.join()
        self._process.stderr.close()
        self._process = None
        return code

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """One request; underscores in names of headers stand for dashes."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body=body, headers=named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def push_blob(self, repository: str, content: bytes) -> str:
        """Bring a blob in; its digest."""
        name = sha256(content)
        begun = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        place = begun.headers["location"]
        done = self.ask("PUT", f"{place}?digest={name}", content)
        assert done.status == 201, done
        return name

    def push_manifest(self, repository: str, tag: str, document: object) -> str:
        """Bring a manifest or index in; its digest."""
        raw = json.dumps(document).encode()
        kind = document["mediaType"]  # type: ignore[index]
        done = self.ask("PUT", f"/v2/{repository}/manifests/{tag}", raw, Content_Type=kind)
        assert done.status == 201, done
        return done.headers["docker-content-digest"]

    def push_image(self, repository: str, tag: str, *layers: bytes, **more: object) -> str:
        """Bring a small image in; the digest of its manifest."""
        config = b'{"architecture":"amd64","os":"linux"}'
        return self.push_manifest(
            repository,
            tag,
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": self.descriptor(repository, config, "config.v1+json"),
                "layers": [self.descriptor(repository, each, "layer.v1.tar") for each in layers],
                **more,
            },
        )

    def descriptor(self, repository: str, content: bytes, kind: str) -> dict[str, object]:
        """Push a blob; how a manifest names it."""
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": self.push_blob(repository, content),
            "size": len(content),
        }


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

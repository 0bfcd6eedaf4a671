"""Registries of both kinds for tests of clients: Debian's docker-registry and our own."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .docker_registry import PASSWORD, USER, docker_registry
from .registry import RegistryServer

KINDS = ("docker-registry", "knarr")
_ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CONFIG = """\
[access]
htpasswd = "{base}/htpasswd"
[[access.rules]]
repositories = ["**"]
users = ["{user}"]
role = "admin"
"""
_BCRYPT = "$2b$04$ZIlEOARAlNBYPqEmNBAFXurFGNYVelxq214ORCRtkF.QnBQ1Kme82"


class Registry(NamedTuple):
    """A running registry that lets everybody in, as one looks into it from outside."""

    host: str

    def manifest(self, name: str, reference: str) -> tuple[str, str, bytes]:
        """Media type, digest and bytes of what a tag or digest names there."""
        kind, raw = self._get(f"/v2/{name}/manifests/{reference}")
        return kind, digest_of(raw), raw

    def blob(self, name: str, digest: str) -> bytes:
        """A blob, whose digest is checked."""
        raw = self._get(f"/v2/{name}/blobs/{digest}")[1]
        assert digest_of(raw) == digest
        return raw

    def layers(self, name: str, reference: str) -> list[bytes]:
        """The tars of an image there, each checked against its diff_id."""
        document = json.loads(self.manifest(name, reference)[2])
        config = json.loads(self.blob(name, document["config"]["digest"]))
        tars = [gzip.decompress(self.blob(name, each["digest"])) for each in document["layers"]]
        assert [digest_of(tar) for tar in tars] == config["rootfs"]["diff_ids"]
        return tars

    def put(self, name: str, tag: str, document: dict[str, Any]) -> None:
        """Put a manifest or index whose blobs are there."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            headers = {"Content-Type": document["mediaType"]}
            body = json.dumps(document).encode()
            connection.request("PUT", f"/v2/{name}/manifests/{tag}", body=body, headers=headers)
            response = connection.getresponse()
            assert response.status == 201, response.read()
        finally:
            connection.close()

    def _get(self, path: str) -> tuple[str, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request("GET", path, headers={"Accept": _ACCEPTED})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (path, response.status, body[:500])
            return response.headers["Content-Type"], body
        finally:
            connection.close()


@contextlib.contextmanager
def running(kind: str, base: Path, *, auth: bool = False) -> Iterator[str]:
    """A registry of that kind; its ``host:port``. ``auth``: only ``USER`` may do anything."""
    if kind == "docker-registry":
        with docker_registry(base, auth=auth) as host:
            yield host
        return
    options = []
    if auth:
        base.mkdir(parents=True, exist_ok=True)
        (base / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
        (base / "registry.toml").write_text(_CONFIG.format(base=base, user=USER))
        options = ["--config", str(base / "registry.toml")]
    server = RegistryServer(base / "root", *options).start()
    try:
        yield server.address
    finally:
        server.stop()


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


__all__ = ["KINDS", "PASSWORD", "USER", "Registry", "digest_of", "running"]

"""``manifest inspect``: docker asks the registry, knarr the engine; both print the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images, probes, registries
from support.registries import Registry

from .conftest import KNARR, run

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_peer("skopeo")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """It has an image in Docker's form (``v2``), in OCI's (``oci``), and an index of both."""
    base = tmp_path_factory.mktemp("registry")
    layer = images.layer({"f": ("file", b"manifest")})
    (base / "a.tar").write_bytes(images.docker_archive(["a:1"], [layer], {"Cmd": ["/x"]}))
    with registries.running("docker-registry", base / "r") as host:
        for tag, form in (("v2", "v2s2"), ("oci", "oci")):
            command = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
            command += [f"--format={form}", f"docker-archive:{base}/a.tar"]
            subprocess.run([*command, f"docker://{host}/a/b:{tag}"], check=True)
        found = Registry(host)
        entries = []
        for tag, architecture in (("v2", "amd64"), ("oci", "arm64")):
            kind, digest, raw = found.manifest("a/b", tag)
            platform = {"architecture": architecture, "os": "linux"}
            entries.append(
                {"mediaType": kind, "size": len(raw), "digest": digest, "platform": platform}
            )
        kind = "application/vnd.docker.distribution.manifest.list.v2+json"
        found.put("a/b", "list", {"schemaVersion": 2, "mediaType": kind, "manifests": entries[:1]})
        yield found


@pytest.mark.parametrize("tag", ["v2", "oci", "list", "none"])
@pytest.mark.parametrize("options", [(), ("-v",)], ids=["short", "verbose"])
def test_alike(
    host: str, registry: Registry, tmp_path: Path, tag: str, options: tuple[str, ...]
) -> None:
    name = f"{registry.host}/a/b:{tag}"
    words = ("manifest", "inspect", "--insecure", *options, name)
    docker = run([probes.docker_cli() or "docker"], host, tmp_path, words)
    knarr = run(KNARR, host, tmp_path, words)
    assert (knarr.code, knarr.err) == (docker.code, docker.err)
    if docker.code == 0:
        assert json.loads(knarr.out) == json.loads(docker.out)
        if tag != "oci":
            assert knarr.out == docker.out

"""Artifacts by the client of oras."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.registry import RegistryServer


@pytest.mark.filterwarnings("ignore")
def test_an_artifact_of_oras(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oras.client import OrasClient

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("artifact.txt").write_text("an artifact")
    client = OrasClient(hostname=registry.address, insecure=True)
    target = f"{registry.address}/artifacts/a:v1"
    answer = client.push(target=target, files=["artifact.txt"], disable_path_validation=True)
    assert answer.status_code == 201
    (got,) = client.pull(target=target, outdir=str(tmp_path / "out"))
    assert Path(got).read_text() == "an artifact"
    assert client.get_tags(f"{registry.address}/artifacts/a") == ["v1"]

"""The docker command line and docker-py against the server with the fake engine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import docker
import pytest

from support import probes

pytestmark = pytest.mark.needs_docker_cli


@pytest.fixture
def cli(serving: Any, tmp_path: Path) -> Any:
    def run(*args: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [probes.docker_cli() or "docker", "-H", serving.host, *args],
            input=stdin,
            capture_output=True,
            timeout=60,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )

    return run


def test_version_and_ps(cli: Any) -> None:
    shown = cli("version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}")
    assert shown.stdout.split() == [b"0.1", b"1.51"], shown
    assert cli("create", "--name", "web", "img", "cat").returncode == 0
    shown = cli("ps", "--no-trunc", "--format", "{{.Names}} {{.Image}} {{.Status}}")
    assert shown.stdout == b"web img Up 2 hours\n", shown
    assert cli("info", "--format", "{{.Driver}}").stdout == b"erofs\n"


def test_run(cli: Any, serving: Any) -> None:
    done = cli("run", "--rm", "img", "echo", "hello", "there")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello there\n", b"")
    kinds = [kind for kind, _ in serving.containers.calls]
    assert kinds.index("attach") < kinds.index("wait")


def test_exit_code_and_standard_error(cli: Any) -> None:
    assert cli("run", "img", "exit", "42").returncode == 42
    done = cli("run", "img", "late")
    assert (done.stdout, done.stderr) == (b"", b"late\n")


def test_run_with_input(cli: Any) -> None:
    text = bytes(range(256)) * 8192
    done = cli("run", "-i", "img", "cat", stdin=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout == text


def test_input_that_nobody_reads(cli: Any) -> None:
    done = cli("run", "-i", "img", "echo", "x", stdin=b"y" * 500_000)
    assert (done.returncode, done.stdout) == (0, b"x\n"), done


def test_exec(cli: Any) -> None:
    cli("run", "-d", "--name", "c", "img", "sleep", "20")
    done = cli("exec", "-i", "c", "cat", stdin=b"through exec")
    assert (done.returncode, done.stdout) == (0, b"through exec"), done
    assert cli("exec", "c", "exit", "9").returncode == 9


def test_unknown_image(cli: Any) -> None:
    done = cli("run", "missing", "x")
    assert done.returncode == 125
    assert b"Unable to find image 'missing:latest' locally" in done.stderr
    assert b"pull access denied for missing" in done.stderr


def test_load_save_rmi_logs(cli: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"not really")
    assert cli("load", "-i", str(archive)).stdout == b"Loaded image: a:latest\n"
    assert cli("save", "a").stdout == b"tar" * 1000 + b"end"
    assert cli("rmi", "a:latest").stdout == b"Untagged: a:latest\nDeleted: sha256:1\n"
    cli("create", "--name", "c", "img", "cat")
    assert cli("logs", "c").stdout == b"logged\n"


def test_python_client(serving: Any) -> None:
    client = docker.DockerClient(base_url=serving.host)
    try:
        assert client.ping() is True
        assert client.api.api_version == "1.51"
        made = client.containers.create("img", ["echo", "py"], stdin_open=False)
        sock = client.api.attach_socket(made.id, params={"stdout": 1, "stderr": 1, "stream": 1})
        made.start()
        assert made.wait()["StatusCode"] == 0
        assert sock.read(100)[8:] == b"py\n"
        raw = sock._sock
        sock.close()
        raw.close()
        assert made.logs() == b"logged\n"
        with pytest.raises(docker.errors.NotFound, match="No such container: nope"):
            client.containers.get("nope")
    finally:
        client.close()
